//! The check of a layer's slots after its switch-over, before it counts as committed.

use eplb_manager::Token;

use super::Session;

impl Session {
    /// A switch-over has been done on the device: it is reported, or checked first.
    pub(super) fn take_committed(&mut self, token: u64) {
        let change = self.open.get_mut(&token);
        let check = change.and_then(|change| Some((change.layer, change.to_check.take()?)));
        let Some((layer, placement)) = check else {
            self.follower.committed(Token(token), Ok(()));
            return;
        };
        if self.mover.check(token, layer, placement) {
            if let Some(change) = self.open.get_mut(&token) {
                change.is_checked = true;
            }
        } else {
            self.fail_committed(token, "the mover's thread has ended".to_owned());
        }
    }

    /// A check has ended. One that was given up for a revert says nothing: it may have read slots
    /// while the old weights came back.
    pub(super) fn take_checked(&mut self, token: u64, outcome: Result<(), String>) {
        match self.open.get_mut(&token) {
            Some(change) if change.is_checked => change.is_checked = false,
            _ => return,
        }
        match outcome {
            Ok(()) => {
                self.follower.committed(Token(token), Ok(()));
            }
            Err(reason) => {
                tracing::error!(
                    rank = self.rank.0,
                    token,
                    reason,
                    "a committed layer is not right"
                );
                self.fail_committed(token, reason);
            }
        }
    }

    /// The change goes back, or is given up: a check of it has no meaning any more.
    pub(super) fn drop_check(&mut self, token: u64) {
        if let Some(change) = self.open.get_mut(&token) {
            change.to_check = None;
            if std::mem::take(&mut change.is_checked) {
                self.mover.abort(token);
            }
        }
    }

    fn fail_committed(&mut self, token: u64, reason: String) {
        self.follower.committed(Token(token), Err(reason));
        if let Some(change) = self.open.get_mut(&token) {
            change.to_restore = true;
        }
    }
}
