//! Lets go of states that were kept for long enough.

use super::Inner;
use super::kept;
use super::place::Place;

/// Forgets what was kept for longer than 30 days.
pub(super) fn expire(inner: &Inner, place: &Place) {
    let Ok(repo) = place.open() else { return };
    let now = inner.clock.now();
    for old in kept::all(&repo).iter().filter(|kept| kept.until < now) {
        kept::forget(inner, place, &repo, &old.id);
    }
}
