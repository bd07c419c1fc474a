//! A stand-in for the service, for trying a cron line without spending credits and for the tests.
//!
//! Same paths and envelopes as the service; its own sliding-window limit, credits, maintenance and latency. It keeps
//! everything in memory, so a restart forgets its covers, but gives the same ids again. All its success messages carry
//! `(sandbox)`, so that nobody takes its answers for real ones. It knows nothing of the runner and shares no code with
//! it: a mistake in reading an answer must not be mirrored by the one who writes it.
//!
//! # At the door
//!
//! A request is judged when it has arrived whole; its answer then takes its time. In this order: a wrong path or method
//! is a real 404, maintenance 455, no key 401 (any key will do), a generate request over the limit 429. The limit is a
//! sliding-window log per key in which only admitted requests count; reads of records have one of their own. What is
//! missing in a body is 422. A cover costs a credit when it is asked for, whether or not it then fails; without one left
//! the answer is 402.
//!
//! # Fates
//!
//! The beginning of a music task id decides what becomes of its requests. Anything that does not match is an ordinary
//! track. Every word but `covered` and `conflict` may end in `xK` (`htmlx2-7`, `code-500x2-7`): only the first K
//! requests for that id fare so, and those after them as an ordinary track's. Requests that are turned away at the door
//! (maintenance, no key, too fast) do not count.
//!
//! | id | answer to a generate request | cover made? |
//! |---|---|---|
//! | anything else | 200 with the cover id; from then on 400 with the same id | yes |
//! | `covered-…` | 400 with the id of a cover that is finished already | was there |
//! | `covered-noid-…` | 400, `data` null | was there |
//! | `conflict-…` | 409, `data` null | was there |
//! | `code-NNN-…` | HTTP 200 with code NNN (100 to 999), `data` null (absent for 401) | no |
//! | `http-NNN-…` | real HTTP status NNN (200 to 599) with the envelope of that code; 403 is text, 502 to 504 are HTML | no |
//! | `broke-…` | 429 with the message about credits | no |
//! | `html-…` | HTTP 200 with an HTML page | no |
//! | `empty-…` | HTTP 200 with an empty body | no |
//! | `nocode-…` | JSON without `code` | no |
//! | `noid-…` | code 200, `data` null | no |
//! | `huge-…` | the ordinary answer, padded to more than 1 MiB | yes |
//! | `garbled-…` | the first half of the ordinary answer | yes |
//! | `cut-…` | the ordinary answer, but the connection breaks before its end | yes |
//! | `hang-…` | none: the request is held for 10 minutes or until the sandbox stops, then the connection breaks | yes |
//! | `slow-…` | the ordinary answer, 2 seconds late | yes |
//!
//! Where the cover was made the answer is what got lost: the next ordinary answer for that id is 400 with its id.
//!
//! # What comes after
//!
//! A cover waits (`successFlag` 0) for the first quarter of its time and is being made (2) in the rest. Once it has
//! failed, another may be asked for, which has another id. These ids get the ordinary answers to a generate request;
//! `genfail` may end in `xK` for the first K covers, `unfinished` for the first K reads.
//!
//! | id | what is found |
//! |---|---|
//! | `genfail-…` | the cover's record ends with `successFlag` 3, `errorCode` 500 and an `errorMessage` |
//! | `foreign-…` | the cover's record names another music task |
//! | `noimages-…` | `successFlag` 1 with an empty list of images |
//! | `stuck-…` | `successFlag` 2 for ever |
//! | `unfinished-…` | the record of the music says `PENDING` |
//! | `musicfail-…` | the record of the music says `GENERATE_AUDIO_FAILED`, with `errorCode` 500 and an `errorMessage` |
//!
//! # Images
//!
//! `/images/<cover task id>-1.png` and `-2.png` are there from the end of a cover until the retention has passed; before
//! and after they are a 404. They need no key, and one that is shown all the same is counted. Passing faults befall them
//! too, as HTTP 502 or a broken connection. These ids fix what the downloads of each image get; all may end in `xK`:
//!
//! | id | what a download gets |
//! |---|---|
//! | `imgjpeg-…`, `imgwebp-…` | a JPEG, a WebP, under the name and the type of a PNG |
//! | `imghtml-…` | HTTP 200 with an HTML page |
//! | `imgempty-…` | HTTP 200 with an empty body |
//! | `imgcut-…` | the image, but the connection breaks before its end |
//! | `imgtrunc-…` | the first half of the image, whole as far as HTTP goes |
//! | `imghuge-…` | the image and zeros after it, one byte more than 50 MiB, of unannounced length |
//! | `imgNNN-…` | real HTTP status NNN (200 to 599) with a page |
//! | `imgredirect-…` | 302 to `http://169.254.169.254/x` |
//! | `imgmoved-…` | 302 to where the image is, on this server |
//!
//! # Callbacks
//!
//! When a cover is done or has failed, its `callBackUrl` gets a POST if it is plain http on a loopback address; any other
//! is never called. What is not answered 200 within 15 seconds is tried again up to three times. With a webhook key each
//! try is signed as `api.kie.ai` does it: in `X-Webhook-Timestamp` and `X-Webhook-Signature`.

mod answer;
mod body;
mod call;
mod callback;
mod course;
mod covers;
mod delivery;
mod dice;
mod door;
mod fate;
mod images;
mod picture;
mod scenario;
mod server;
mod service;
#[cfg(test)]
mod tests;
mod window;
mod wire;

pub use callback::{BadWebhookKey, Callbacks, WebhookKey};
pub use dice::cover_id_for;
pub use scenario::{BadForm, BadSpread, BadWindow, Form, Scenario, Spread, Window};
pub use server::Sandbox;
pub use service::Stats;
