//! A firewall's life in one program, on the emulated adapter: first rules, a container that comes, a change that has to be
//! confirmed, a question, a restart.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nicfw::adapter::AttachOptions;
use nicfw::clock::SystemClock;
use nicfw::firewall::{Leave, Session, Settings};
use nicfw::journal::{Journal, MemoryStore, Reason};
use nicfw::policy::{Document, FlowText};
use nicfw::tables::Compiled;
use nicfw::{Adapter, MacAddr};
use nicfw_model::{FunctionConfig, Model, ModelConfig};

const EMPTY: &str = "
nicfw: 1
unbound: allow
multicast: deny
";

const SHOP: &str = r#"
nicfw: 1
unbound: allow
multicast: deny
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1042}
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: "02:00:0a:1e:01:11", attach: sriov, policy: web}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // A card: "0000:65:00.0".parse::<nicfw::device::Locator>()?.open()? instead of the model.
    let model = Model::new(ModelConfig::new(vec![FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]))]));
    let clock = Arc::new(SystemClock::new());
    let adapter = Adapter::from_device(Box::new(model.function(0)), clock.clone(), AttachOptions::default())?;

    // What the adapter holds is not known: it is dropped, under an override that blocks all traffic meanwhile. A program
    // that is to find its rules again opens a journal in a file: FileStore::open.
    let (store, name) = (MemoryStore::new(), adapter.info().identity());
    let journal = Journal::open(Box::new(store.clone()), &name, None)?;
    let mut session = Session::new(adapter, journal, clock.clone(), Settings::default());
    let empty = Compiled::new(&Document::parse(EMPTY, "empty.yaml")?, session.target()?, None)?;
    session.adopt(&empty, Reason::new("agent", "new host"))?;

    // The container's address is closed before it starts, and opened by a policy that binds it.
    let firewall = session.firewall_mut()?;
    firewall.reserve("shop-1", &["10.30.1.17".parse()?], Some("02:00:0a:1e:01:11".parse()?), "it comes")?;
    let document = Document::parse(SHOP, "shop.yaml")?;
    let shop = Compiled::new(&document, firewall.target(), firewall.compiled()?.as_ref())?;
    let change = firewall.plan(&shop, Reason::new("ann", "shop front"))?;
    let report = firewall.apply(change.confirm_within(Duration::from_secs(60)))?;
    println!("{} commands, and a minute to say that it works", report.commands);
    firewall.confirm()?;

    let flow: FlowText = "tcp 10.20.3.4:51000 > 10.30.1.17:443".parse()?;
    for flow in flow.judgements(firewall.document())? {
        println!("{}", shop.explain(&flow).text);
    }

    // The process ends; the adapter goes on judging frames. The next process goes on from the journal.
    let adapter = session.leave(Leave::Rules, "the process ends")?;
    let journal = Journal::open(Box::new(store), &name, None)?;
    let mut session = Session::new(adapter, journal, clock, Settings::default());
    let recovery = session.resume()?;
    let firewall = session.firewall_mut()?;
    println!("found: {:?}, {} entries", recovery.found, firewall.image().rules.len());
    println!("sound: {}", firewall.audit()?.is_sound());
    Ok(())
}
