//! What somebody may see of what was found, and what of it is new.

use super::{DAY, Memory, State, lookup};
use crate::scope::{Marking, Scope};
use crate::views::{AttackView, CampaignView, NewThing, ScanView};
use noroshi_model::Nanos;

/// The newest findings of the last day that are told.
const NEW_THINGS: usize = 12;

pub(super) fn visible_attacks<'a>(state: &'a State, scope: &'a Scope) -> impl Iterator<Item = &'a AttackView> {
    state.attacks.iter().filter(|attack| scope.sees(&attack.marking, lookup::about(&attack.victim)))
}

pub(super) fn visible_campaigns<'a>(state: &'a State, scope: &'a Scope) -> impl Iterator<Item = &'a CampaignView> {
    state.campaigns.iter().filter(|campaign| {
        scope.sees(&campaign.marking, None)
            || campaign.members.iter().any(|member| scope.sees(&campaign.marking, lookup::about(member)))
    })
}

pub(super) fn visible_scans<'a>(state: &'a State, scope: &'a Scope) -> impl Iterator<Item = &'a ScanView> {
    let seen = |(marking, scan): &&(Marking, ScanView)| scope.sees(marking, lookup::about(&scan.source));
    state.scans.iter().filter(seen).map(|(_, scan)| scan)
}

impl Memory {
    pub(super) fn new_things(&self, state: &State, scope: &Scope, now: Nanos) -> Vec<NewThing> {
        let recent = |at: Nanos| at.0 > now.0 - DAY;
        let attacks = visible_attacks(state, scope).filter(|attack| recent(attack.first)).map(|attack| NewThing {
            what: "attack".into(),
            value: attack.id.clone(),
            kind: attack.kind.clone(),
            subject: attack.victim.clone(),
            first: attack.first,
            packets: attack.packets,
            sources: attack.sources,
        });
        let campaigns = visible_campaigns(state, scope).filter(|campaign| recent(campaign.first)).map(|c| NewThing {
            what: "campaign".into(),
            value: c.id.clone(),
            kind: c.tool.clone(),
            subject: c.ports.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", "),
            first: c.first,
            packets: c.packets,
            sources: c.sources,
        });
        let mut found: Vec<_> = attacks.chain(campaigns).collect();
        found.sort_by_key(|thing| std::cmp::Reverse(thing.first));
        found.truncate(NEW_THINGS);
        found
    }
}
