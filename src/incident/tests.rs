//! Tables for the pure part.
