//! The whole driver on an adapter that somebody forges: attach, load, change, reserve, count, recover.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nicfw::Adapter;
use nicfw::adapter::AttachOptions;
use nicfw::clock::VirtualClock;
use nicfw::firewall::{Adopt, Firewall, Settings};
use nicfw::policy::Document;
use nicfw::tables::{Compiled, Target};
use nicfw::terms::MacAddr;
use nicfw_model::{FunctionConfig, Model, ModelConfig};

use crate::tamper::Tampered;

/// Steps of one input.
const MOST: usize = 16;

const OLD: &str = r#"
nicfw: 1
unbound: allow
multicast: deny
policies:
  web: [{allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/16}]
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
"#;

const NEW: &str = r#"
nicfw: 1
unbound: allow
multicast: deny
policies:
  web: [{deny: in, proto: tcp, local_ports: 443, remote: 10.20.128.0/17}, {allow: in, proto: tcp, local_ports: 400-500, remote: 10.20.0.0/15}]
bindings:
  - {container: shop-1, ip: 10.30.1.1, mac: "02:00:0a:1e:01:01", attach: {macvlan: vepa}, policy: web}
  - {container: shop-3, ip: 10.30.1.3, mac: "02:00:0a:1e:01:03", attach: {macvlan: vepa}, policy: web}
"#;

static DOCUMENTS: LazyLock<[Document; 2]> =
    LazyLock::new(|| [OLD, NEW].map(|text| Document::parse(text, "shops.yaml").expect("a sound file")));
/// What the documents become on an adapter that tells the truth about itself.
static COMPILED: LazyLock<[Compiled; 2]> = LazyLock::new(|| compile(&Target::profile0()).expect("policies that fit"));

fn compile(target: &Target) -> Option<[Compiled; 2]> {
    let [old, new] = &*DOCUMENTS;
    let old = Compiled::new(old, target, None).ok()?;
    let new = Compiled::new(new, target, Some(&old)).ok()?;
    Some([old, new])
}

/// First byte: how many steps, low bits; firmware may be switched, high bit. Then one byte a step, then the forgeries.
pub fn run(data: &[u8]) {
    let Some((head, rest)) = data.split_first() else { return };
    let (steps, forgeries) = rest.split_at(rest.len().min(usize::from(head % 0x80) % MOST));
    let functions = vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))];
    let model = Model::new(ModelConfig::new(functions));
    let clock = Arc::new(VirtualClock::new());
    let device = Box::new(Tampered::new(&model, 0, forgeries));
    let options = AttachOptions::default().with_switch_firmware(head & 0x80 != 0);
    let adapter = match Adapter::from_device(device, clock.clone(), options) {
        Ok(adapter) => adapter,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let own;
    let compiled = if *adapter.target() == *COMPILED[0].target() {
        &*COMPILED
    } else {
        let Some(compiled) = compile(adapter.target()) else { return };
        own = compiled;
        &own
    };
    let mut firewall = match Firewall::adopt(adapter, Adopt::of(&compiled[0]), clock.clone(), Settings::default()) {
        Ok(firewall) => firewall,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for step in steps {
        if let Err(error) = take(*step, &mut firewall, compiled) {
            assert!(!error.to_string().is_empty());
        }
        clock.advance(Duration::from_secs((step >> 4).into()));
    }
    if forgeries.is_empty() {
        check(&firewall, &model);
    }
    // Leaving may fail too.
    let _ = firewall.detach().0.detach();
}

/// After a session without a forgery the tables hold what the firewall says that they hold.
fn check(firewall: &Firewall<Adapter>, model: &Model) {
    let asked = firewall.image().rules.iter().map(|(key, entry)| (*key, (entry.rx.action, entry.tx.action)));
    let held = model.snapshot().rules;
    let held = held.iter().map(|(key, entry)| (*key, (entry.rx, entry.tx)));
    assert_eq!(held.collect::<BTreeMap<_, _>>(), asked.collect());
}

fn take(
    step: u8,
    firewall: &mut Firewall<Adapter>,
    compiled: &[Compiled; 2],
) -> Result<(), Box<dyn std::error::Error>> {
    let ip = "10.30.1.9".parse()?;
    match step % 9 {
        way @ (0 | 1) => {
            let change = firewall.plan(&compiled[usize::from(way)], "fuzz")?;
            firewall.apply(change)?;
        }
        2 => drop(firewall.reserve("guest", &[ip], Some(MacAddr([2, 0, 0x0a, 0x1e, 1, 9])), "guest")?),
        3 => drop(firewall.release("guest", "guest")?),
        4 => drop(firewall.counters()?),
        5 => drop(firewall.audit()?),
        6 => firewall.commit_cache()?,
        7 => drop(firewall.recover()?),
        _ => drop(firewall.engine().recover()?),
    }
    Ok(())
}
