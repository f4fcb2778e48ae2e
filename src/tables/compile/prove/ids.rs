//! What the ids of an image mean, and which entries name them: kept from proof to proof.

use std::sync::Arc;

use super::id_points::IdPoints;
use super::id_users::IdUsers;
use crate::tables::Image;

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct ImageIds {
    pub(super) points: Arc<IdPoints>,
    pub(super) users: Arc<IdUsers>,
}

impl ImageIds {
    /// Those of an image; `before` is another image with its own.
    pub fn of(image: &Image, before: Option<(&Image, &Self)>) -> Self {
        Self {
            points: IdPoints::of(image, &before.map_or_else(Arc::default, |(_, ids)| ids.points.clone())),
            users: IdUsers::of(image, before.map(|(image, ids)| (image, &ids.users))),
        }
    }
}
