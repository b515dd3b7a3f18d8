//! Ascend NPUs.
