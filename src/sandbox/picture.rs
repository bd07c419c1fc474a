//! The pictures that stand in for covers: abstract, different for each seed, and the same again for the same seed. Pure.

use std::f32::consts::TAU;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat, ImageResult, Rgb, Rgb32FImage};

/// What a huge picture has at least; more than any client should take.
pub(super) const HUGE: u64 = 50 * 1024 * 1024 + 1;

/// A picture that is drawn when it is sent, which takes too long to be done while others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    /// Fixes what is on it.
    pub(super) seed: u64,
    /// Its width and height.
    pub(super) pixels: u16,
    /// How it is written.
    pub(super) encoding: Encoding,
    /// How much of it there is.
    pub(super) extent: Extent,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// PNG, as the service does.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP without loss.
    Webp,
}

/// How much of a picture is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// The first half of its bytes.
    FirstHalf,
    /// All of it and then zeros, [`HUGE`] bytes together.
    Padded,
}

impl Picture {
    /// The bytes of the picture itself, without what pads it.
    pub(super) fn bytes(self) -> ImageResult<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let format = match self.encoding {
            Encoding::Png => ImageFormat::Png,
            Encoding::Jpeg => ImageFormat::Jpeg,
            Encoding::Webp => ImageFormat::WebP,
        };
        self.drawn().write_to(&mut bytes, format)?;
        let mut bytes = bytes.into_inner();
        match self.extent {
            Extent::Whole | Extent::Padded => {}
            Extent::FirstHalf => bytes.truncate(bytes.len() / 2),
        }
        Ok(bytes)
    }

    fn drawn(self) -> DynamicImage {
        let scene = Scene::new(&mut fastrand::Rng::with_seed(self.seed));
        let side = u32::from(self.pixels);
        // In the middle of a pixel, as a share of the side.
        let place = |at: u32| (f32::from(u16::try_from(at).unwrap_or(u16::MAX)) + 0.5) / f32::from(self.pixels);
        let edge = 1.0 / f32::from(self.pixels);
        let image = Rgb32FImage::from_fn(side, side, |x, y| Rgb(scene.color(place(x), place(y), edge)));
        DynamicImage::from(DynamicImage::ImageRgb32F(image).to_rgb8())
    }
}

/// Red, green and blue from 0 to 1.
type Color = [f32; 3];

/// A gradient from top to bottom, and shapes one above the other.
struct Scene {
    sky: [Color; 2],
    shapes: Vec<(Shape, Color)>,
}

/// One shape; all lengths are shares of the side.
enum Shape {
    Disc {
        center: (f32, f32),
        radius: f32,
    },
    Ring {
        center: (f32, f32),
        radius: f32,
        width: f32,
    },
    /// Everything below a wave.
    Hill {
        height: f32,
        swing: f32,
        waves: f32,
        phase: f32,
    },
}

impl Scene {
    fn new(dice: &mut fastrand::Rng) -> Self {
        let hue = dice.f32();
        let sky = [tone(hue, 0.55, 0.22), tone(hue + 0.12, 0.65, 0.62)];
        let accent = hue + 0.4 + 0.2 * dice.f32();
        let shapes = match dice.u8(0..3) {
            0 => hills(dice, hue, accent),
            1 => rings(dice, hue, accent),
            _ => discs(dice, accent),
        };
        Self { sky, shapes }
    }

    fn color(&self, x: f32, y: f32, edge: f32) -> Color {
        let sky = mixed(self.sky[0], self.sky[1], y);
        self.shapes.iter().fold(sky, |below, (shape, color)| {
            // An edge is one pixel wide.
            let cover = (0.5 - shape.distance(x, y) / edge).clamp(0.0, 1.0);
            mixed(below, *color, 0.85 * cover)
        })
    }
}

impl Shape {
    /// How far outside the shape a place is; negative inside.
    fn distance(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Disc { center, radius } => (x - center.0).hypot(y - center.1) - radius,
            Self::Ring { center, radius, width } => ((x - center.0).hypot(y - center.1) - radius).abs() - width / 2.0,
            Self::Hill { height, swing, waves, phase } => height + swing * ((x * waves + phase) * TAU).sin() - y,
        }
    }
}

fn hills(dice: &mut fastrand::Rng, hue: f32, accent: f32) -> Vec<(Shape, Color)> {
    let center = (0.25 + 0.5 * dice.f32(), 0.25 + 0.2 * dice.f32());
    let sun = Shape::Disc { center, radius: 0.1 + 0.1 * dice.f32() };
    let mut shapes = vec![(sun, tone(accent, 0.8, 0.7))];
    for nearness in [0.0, 0.33, 0.66, 1.0] {
        let (swing, waves) = (0.03 + 0.05 * dice.f32(), 0.6 + 1.2 * dice.f32());
        let hill = Shape::Hill { height: 0.52 + 0.34 * nearness, swing, waves, phase: dice.f32() };
        shapes.push((hill, tone(hue + 0.05 * nearness, 0.45, 0.42 - 0.32 * nearness)));
    }
    shapes
}

fn rings(dice: &mut fastrand::Rng, hue: f32, accent: f32) -> Vec<(Shape, Color)> {
    let center = (0.35 + 0.3 * dice.f32(), 0.35 + 0.3 * dice.f32());
    let mut shapes = vec![(Shape::Disc { center, radius: 0.07 + 0.05 * dice.f32() }, tone(accent, 0.85, 0.6))];
    let mut radius = 0.1;
    while radius < 0.75 {
        radius += 0.04 + 0.07 * dice.f32();
        let ring = Shape::Ring { center, radius, width: 0.01 + 0.04 * dice.f32() };
        shapes.push((ring, tone(if dice.bool() { hue + 0.1 } else { accent }, 0.6, 0.3 + 0.45 * dice.f32())));
    }
    shapes
}

fn discs(dice: &mut fastrand::Rng, accent: f32) -> Vec<(Shape, Color)> {
    let mut shapes = Vec::new();
    for size in [0.34, 0.26, 0.2, 0.14, 0.1, 0.07, 0.05] {
        let center = (dice.f32(), dice.f32());
        let disc = Shape::Disc { center, radius: size * (0.8 + 0.4 * dice.f32()) };
        shapes.push((disc, tone(accent + 0.25 * (dice.f32() - 0.5), 0.6, 0.35 + 0.4 * dice.f32())));
    }
    shapes
}

fn mixed(one: Color, other: Color, share: f32) -> Color {
    std::array::from_fn(|at| one[at] + (other[at] - one[at]) * share)
}

/// The color of a hue (in turns), saturation and lightness.
fn tone(hue: f32, saturation: f32, lightness: f32) -> Color {
    let reach = saturation * lightness.min(1.0 - lightness);
    // <https://www.w3.org/TR/css-color-4/#hsl-to-rgb>
    [0.0, 8.0, 4.0].map(|offset| {
        let k = (offset + hue * 12.0).rem_euclid(12.0);
        lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn picture(seed: u64) -> Picture {
        Picture { seed, pixels: 64, encoding: Encoding::Png, extent: Extent::Whole }
    }

    #[test]
    fn a_picture_is_of_its_seed_and_has_its_size() {
        assert_eq!(picture(1).bytes().unwrap(), picture(1).bytes().unwrap());
        let all: HashSet<Vec<u8>> = (0..50).map(|seed| picture(seed).bytes().unwrap()).collect();
        assert_eq!(all.len(), 50);
        let read = image::load_from_memory_with_format(&picture(1).bytes().unwrap(), ImageFormat::Png).unwrap();
        assert_eq!((read.width(), read.height()), (64, 64));
    }

    #[test]
    fn there_is_something_to_be_seen_on_every_picture() {
        for seed in 0..50 {
            let colors: HashSet<[u8; 3]> = picture(seed).drawn().to_rgb8().pixels().map(|pixel| pixel.0).collect();
            let brightest = colors.iter().map(|color| color.iter().max()).max();
            assert!(colors.len() > 100 && brightest > Some(Some(&90)), "{seed}: {} colors", colors.len());
        }
    }

    #[test]
    fn each_encoding_begins_with_its_signature() {
        let begins = |encoding, at: usize, signature: &[u8]| {
            Picture { encoding, ..picture(1) }.bytes().unwrap()[at..].starts_with(signature)
        };
        assert!(begins(Encoding::Png, 0, b"\x89PNG\r\n\x1a\n"));
        assert!(begins(Encoding::Jpeg, 0, b"\xff\xd8\xff"));
        assert!(begins(Encoding::Webp, 8, b"WEBPVP8L"));
    }

    #[test]
    fn half_a_picture_is_its_first_half() {
        let whole = picture(1).bytes().unwrap();
        let half = Picture { extent: Extent::FirstHalf, ..picture(1) }.bytes().unwrap();
        assert_eq!(half, whole[..whole.len() / 2]);
    }

    #[test]
    fn a_tone_is_what_css_says() {
        let near = |one: Color, other: Color| one.iter().zip(other).all(|(one, other)| (one - other).abs() < 0.001);
        assert!(near(tone(0.0, 1.0, 0.5), [1.0, 0.0, 0.0]));
        assert!(near(tone(1.0 + 1.0 / 3.0, 1.0, 0.5), [0.0, 1.0, 0.0]));
        assert!(near(tone(0.7, 0.0, 0.25), [0.25, 0.25, 0.25]));
    }
}
