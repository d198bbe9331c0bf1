//! Rules of the whole program (under construction).

mod experiments;
mod fetch;
mod make;
