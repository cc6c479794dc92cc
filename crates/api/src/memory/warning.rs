//! Warning, counted from messages and tried on findings.

use crate::scope::Scope;
use crate::views::{AttackView, IncidentLine, MessageView, RulePreview, RuleTrial, WarningView};
use noroshi_model::time::SECOND;
use noroshi_model::{Nanos, Prefix};

/// Days that a preview shows.
const DAYS: usize = 7;
/// Examples that a preview shows.
const EXAMPLES: usize = 5;

/// The view with the numbers of the messages that this caller may see.
pub fn counted(mut view: WarningView, messages: &[MessageView], scope: &Scope) -> WarningView {
    let seen = || messages.iter().filter(|message| scope.sees_messages_to(&message.member));
    let state = |name: &str| seen().filter(|message| message.state == name).count() as u64;
    (view.queued, view.delivered) = (state("queued"), state("delivered"));
    (view.failed, view.withheld) = (state("failed"), state("withheld"));
    for rule in &mut view.rules {
        rule.messages = seen().filter(|message| message.rule == rule.name).count() as u64;
    }
    view
}

/// What a rule would have done with these attacks; the error says which network does not read.
pub fn try_rule<'a>(
    attacks: impl Iterator<Item = &'a AttackView>,
    rule: &RuleTrial,
    now: Nanos,
) -> Result<RulePreview, String> {
    let networks = rule.networks.iter().map(|text| text.parse::<Prefix>()).collect::<Result<Vec<_>, _>>();
    let networks = networks.map_err(|error| format!("networks: {error}"))?;
    let fits = |attack: &AttackView| {
        let inside = |victim: Prefix| networks.iter().any(|network| network.contains(victim.first()));
        attack.confidence >= rule.confidence_min
            && attack.packets >= rule.packets_min
            && (rule.kinds.is_empty() || rule.kinds.contains(&attack.kind))
            && (networks.is_empty() || attack.victim.parse::<Prefix>().is_ok_and(inside))
    };
    let mut preview = RulePreview { fits: 0, of: 0, per_day: vec![0; DAYS], examples: Vec::new() };
    for attack in attacks {
        preview.of += 1;
        if !fits(attack) {
            continue;
        }
        preview.fits += 1;
        let days_ago = ((now.0 - attack.first.0) / (86_400 * SECOND)).max(0) as usize;
        if let Some(day) = (DAYS - 1).checked_sub(days_ago) {
            preview.per_day[day] += 1;
        }
        if preview.examples.len() < EXAMPLES {
            preview.examples.push(IncidentLine {
                id: attack.id.clone(),
                kind: attack.kind.clone(),
                subject: attack.victim.clone(),
                severity: String::new(),
                confidence: attack.confidence,
            });
        }
    }
    Ok(preview)
}
