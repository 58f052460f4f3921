//! The machine's own disk behind [`kilo_ports::files`].
//!
//! It must never know tools, rules or sessions. Start at [`Disk`]. A path is followed to its end as text ([`real`]), then
//! the folder there is opened without following any link ([`beneath`]); if a link was put in between, that fails and the
//! path is followed anew. From then on everything happens through that descriptor.

mod beneath;
mod disk;
mod facts;
mod real;
mod spot;
mod staged;
mod walk;

pub use disk::Disk;
pub use staged::is_temporary;
