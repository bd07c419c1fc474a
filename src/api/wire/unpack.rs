//! Bodies that come packed although nobody asked for it, as some gateways send them to everyone.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::raw::MAX_BODY_BYTES;

/// Most layers taken off: some gateways pack what is packed already.
const MAX_LAYERS: usize = 3;

/// The body without its packing, told by its first bytes, and by the `Content-Encoding` header where these do not tell.
/// One that cannot be unpacked stays as it is; `None` if it is larger than [`MAX_BODY_BYTES`] unpacked.
#[must_use]
pub fn unpacked(mut body: Vec<u8>, encoding: Option<&str>) -> Option<Vec<u8>> {
    let is_deflate = encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("deflate"));
    for _ in 0..MAX_LAYERS {
        let inner = match body[..] {
            // RFC 1952.
            [0x1f, 0x8b, ..] => whole(MultiGzDecoder::new(&body[..])),
            // RFC 1950: the method is 8, and the first two bytes are a multiple of 31.
            [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0 => {
                whole(ZlibDecoder::new(&body[..]))
            }
            [b'{', ..] | [] => break,
            // RFC 1951 has no mark of its own.
            _ if is_deflate => whole(DeflateDecoder::new(&body[..])),
            _ => break,
        };
        let Ok(inner) = inner else { break };
        if inner.len() > MAX_BODY_BYTES {
            return None;
        }
        body = inner;
    }
    Some(body)
}

/// Everything that `packed` holds, as far as it is not too large.
fn whole(packed: impl Read) -> io::Result<Vec<u8>> {
    let mut inner = Vec::new();
    packed.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut inner)?;
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const BODY: &[u8] = br#"{"code":200,"msg":"success","data":{"taskId":"c1"}}"#;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_packed_body_is_unpacked_whatever_the_header_says() {
        for encoding in [None, Some("gzip"), Some("deflate"), Some("x-gzip"), Some("identity"), Some("br")] {
            for packed in [gzip(BODY), zlib(BODY), gzip(&gzip(BODY)), gzip(&zlib(BODY)), BODY.to_vec()] {
                assert_eq!(unpacked(packed, encoding).unwrap(), BODY, "{encoding:?}");
            }
        }
        assert_eq!(unpacked(deflate(BODY), Some(" Deflate")).unwrap(), BODY);
        let parts = [gzip(&BODY[..20]), gzip(&BODY[20..])].concat();
        assert_eq!(unpacked(parts, None).unwrap(), BODY, "in two members");
    }

    #[test]
    fn what_cannot_be_unpacked_stays_as_it_is() {
        let cut = |packed: Vec<u8>| packed[..packed.len() - 9].to_vec();
        for body in [cut(gzip(BODY)), cut(zlib(BODY)), deflate(BODY), vec![0x1f, 0x8b], b"x\x9cx".to_vec(), Vec::new()]
        {
            assert_eq!(unpacked(body.clone(), Some("gzip")).unwrap(), body);
        }
        let page = b"<html>".to_vec();
        assert_eq!(unpacked(page.clone(), Some("deflate")).unwrap(), page);
    }

    #[test]
    fn a_bomb_is_not_set_off() {
        let large = vec![b' '; MAX_BODY_BYTES];
        assert_eq!(unpacked(gzip(&large), None).unwrap().len(), MAX_BODY_BYTES);
        let too_large = vec![b' '; MAX_BODY_BYTES + 1];
        for bomb in [gzip(&too_large), zlib(&too_large), gzip(&vec![0; 64 * MAX_BODY_BYTES])] {
            assert!(bomb.len() < MAX_BODY_BYTES);
            assert_eq!(unpacked(bomb, None), None);
        }
    }
}
