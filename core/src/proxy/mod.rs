//! The way of a request, from the accepted connection to its audit record. `pipeline` is the whole of it on one screen.

pub mod answer;
pub mod decide;
pub mod downstream;
pub mod events;
pub mod forward;
pub mod hold;
pub mod identify;
pub mod inspect;
pub mod judge;
pub mod mask;
pub mod obligations;
pub mod obtain;
pub mod outgoing;
pub mod pipeline;
pub mod pool;
pub mod receive;
pub mod record;
pub mod relay;
pub mod resource;
pub mod round;
pub mod route;
pub mod stopped;
pub mod task;
pub mod texts;
pub mod upstream;
