//! Runs one prompt and shows it: what is said ([`input`]), in which session ([`choose`]), followed to its end
//! ([`follow`]), shown to a person or a program ([`show`]).

pub mod choose;
pub mod faults;
pub mod follow;
pub mod input;
pub mod notice;
pub mod show;
pub mod trees;
