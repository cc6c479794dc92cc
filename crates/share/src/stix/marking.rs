//! TLP in STIX: the four statement markings of TLP 1 that are part of the standard, and the extension of TLP 2.0.
//!
//! Many tools know TLP 1 only. A reader of version 1 must never take something for freer than it is: clear becomes
//! white, and amber+strict, which version 1 lacks, becomes red.

use super::types::{Marking, Object};
use noroshi_model::tlp::Tlp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Which markings a reader understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Markings {
    /// TLP 1 only.
    V1,
    /// TLP 2.0 only.
    V2,
    /// Both.
    #[default]
    Both,
}

const EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// Name, colour and UUID under TLP 1.
const fn version_1(tlp: Tlp) -> (&'static str, &'static str, &'static str) {
    match tlp {
        Tlp::Clear => ("TLP:WHITE", "white", "613f2e26-407d-48c7-9eca-b8e91df99dc9"),
        Tlp::Green => ("TLP:GREEN", "green", "34098fce-860f-48ae-8e50-ebd3cc5e41da"),
        Tlp::Amber => ("TLP:AMBER", "amber", "f88d31f6-486f-44da-b317-01333bde0b82"),
        Tlp::AmberStrict | Tlp::Red => ("TLP:RED", "red", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
    }
}

const fn version_2(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "94868c89-83c2-464b-929b-a1a8aa3c8487",
        Tlp::Green => "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        Tlp::Amber => "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        Tlp::AmberStrict => "939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp::Red => "e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
}

/// References to put on an object.
pub fn references(tlp: Tlp, markings: Markings) -> Vec<String> {
    let mut refs = Vec::new();
    if markings != Markings::V1 {
        refs.push(format!("marking-definition--{}", version_2(tlp)));
    }
    if markings != Markings::V2 {
        refs.push(format!("marking-definition--{}", version_1(tlp).2));
    }
    refs
}

/// The marking definitions themselves: a bundle must be readable without looking anything up.
pub fn definitions(tlp: Tlp, markings: Markings) -> Vec<Object> {
    let mut found = Vec::new();
    if markings != Markings::V1 {
        let mut extensions = Map::new();
        extensions.insert(EXTENSION.into(), json!({ "extension_type": "property-extension", "tlp_2_0": tlp.name() }));
        found.push(Object::MarkingDefinition(Marking {
            spec_version: "2.1".into(),
            id: format!("marking-definition--{}", version_2(tlp)),
            created: "2022-10-01T00:00:00.000Z".into(),
            definition_type: None,
            name: Some(tlp.label().into()),
            definition: None,
            extensions,
        }));
    }
    if markings != Markings::V2 {
        let (name, colour, id) = version_1(tlp);
        found.push(Object::MarkingDefinition(Marking {
            spec_version: "2.1".into(),
            id: format!("marking-definition--{id}"),
            created: "2017-01-20T00:00:00.000Z".into(),
            definition_type: Some("tlp".into()),
            name: Some(name.into()),
            definition: Some(json!({ "tlp": colour })),
            extensions: Map::new(),
        }));
    }
    found
}

/// The label that a marking definition stands for, in either version; none for other markings.
pub fn read(marking: &Value) -> Option<Tlp> {
    let id = marking.get("id")?.as_str()?.strip_prefix("marking-definition--")?;
    by_id(id).or_else(|| {
        let two = marking.pointer(&format!("/extensions/{EXTENSION}/tlp_2_0"));
        let one = marking.pointer("/definition/tlp");
        // Some writers put the label into definition_type.
        let odd = marking.get("definition_type").filter(|t| t.as_str().is_some_and(|t| t.starts_with("TLP")));
        two.or(one).or(odd)?.as_str()?.parse().ok()
    })
}

/// The label behind one of the published UUIDs.
pub fn by_id(uuid: &str) -> Option<Tlp> {
    let one = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::Red].into_iter().find(|t| version_1(*t).2 == uuid);
    one.or_else(|| Tlp::ALL.iter().copied().find(|t| version_2(*t) == uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_never_frees_anything() {
        assert!(references(Tlp::AmberStrict, Markings::V1)[0].ends_with("d15ca92d5ed"), "red");
        for tlp in Tlp::ALL {
            for object in definitions(*tlp, Markings::Both) {
                let read = read(&serde_json::to_value(&object).unwrap()).unwrap();
                assert!(read >= *tlp);
            }
            assert_eq!(definitions(*tlp, Markings::Both).len(), 2);
        }
    }
}
