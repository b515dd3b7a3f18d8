//! Groups that are a star inside, and say so to the world.

/// Makes a type with one unnamed field, which is a group, a group too.
macro_rules! group_by_field {
    ($group:ty) => {
        impl $crate::Group for $group {
            fn rank(&self) -> u32 {
                self.0.rank()
            }

            fn size(&self) -> u32 {
                self.0.size()
            }

            fn losses(&self) -> Vec<$crate::Loss> {
                self.0.losses()
            }

            fn all_gather(
                &self,
                own: &[u8],
                until: std::time::Instant,
            ) -> Result<Vec<Vec<u8>>, $crate::GroupError> {
                self.0.all_gather(own, until)
            }

            fn gather(
                &self,
                own: &[u8],
                until: std::time::Instant,
            ) -> Result<Vec<Vec<u8>>, $crate::GroupError> {
                self.0.gather(own, until)
            }

            fn broadcast(
                &self,
                message: &[u8],
                until: std::time::Instant,
            ) -> Result<Vec<u8>, $crate::GroupError> {
                self.0.broadcast(message, until)
            }

            fn send(&self, to: u32, message: &[u8]) -> Result<(), $crate::GroupError> {
                self.0.send(to, message)
            }

            fn receive(
                &self,
                from: u32,
                until: std::time::Instant,
            ) -> Result<Vec<u8>, $crate::GroupError> {
                self.0.receive(from, until)
            }

            fn leave(&self, why: &str) {
                self.0.leave(why);
            }
        }
    };
}

pub(crate) use group_by_field;
