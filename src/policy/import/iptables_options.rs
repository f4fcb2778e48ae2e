//! The options of iptables, its matches and its targets: names, arguments and what may be negated or repeated.
//!
//! Taken from the tables that iptables 1.8 hands to `getopt_long`. An option is written `!name|synonym=`: `!` if it may be
//! negated, `=` if it takes an argument, `=2` if it takes two words, `+` if it may come more than once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Arguments of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    One,
    /// The second word may not look like an option.
    Two,
    /// Two numbers, in one word with a comma or in two.
    Counters,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opt {
    /// The first name; synonyms after it.
    pub names: Vec<&'static str>,
    pub takes: Takes,
    pub negatable: bool,
    pub repeats: bool,
}

impl Opt {
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or("")
    }
}

/// Options that every rule has, with their letters.
pub(super) static CORE: LazyLock<Vec<(char, Opt)>> = LazyLock::new(|| {
    let letters = "A D C I R L S F Z N X E P s d p i j t m n o v w W x f V h 0 M c g 4 6";
    let options = "append= delete= check= insert= replace= list list-rules flush zero new-chain= delete-chain rename-chain= \
                   policy= !source|src= !destination|dst= !protocol= !in-interface= jump= table= match= numeric \
                   !out-interface= verbose wait wait-interval exact !fragments version help line-numbers modprobe= \
                   set-counters= goto= ipv4 ipv6";
    let mut core: Vec<_> = letters.split(' ').filter_map(|letter| letter.chars().next()).zip(parsed(options)).collect();
    for (letter, option) in &mut core {
        match letter {
            'c' => option.takes = Takes::Counters,
            'm' | 'v' => option.repeats = true,
            _ => {}
        }
    }
    core
});

/// Matches by name.
pub(super) static MATCHES: LazyLock<BTreeMap<&'static str, Vec<Opt>>> = LazyLock::new(|| table(MATCH_OPTIONS));

/// Targets by name.
pub(super) static TARGETS: LazyLock<BTreeMap<&'static str, Vec<Opt>>> = LazyLock::new(|| table(TARGET_OPTIONS));

fn table(text: &'static str) -> BTreeMap<&'static str, Vec<Opt>> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, options)| (name, parsed(options))).collect()
}

fn parsed(options: &'static str) -> Vec<Opt> {
    options.split_ascii_whitespace().map(option).collect()
}

fn option(text: &'static str) -> Opt {
    let (text, repeats) = text.strip_suffix('+').map_or((text, false), |text| (text, true));
    let (text, negatable) = text.strip_prefix('!').map_or((text, false), |text| (text, true));
    let (names, takes) = match text.split_once('=') {
        Some((names, "2")) => (names, Takes::Two),
        Some((names, _)) => (names, Takes::One),
        None => (text, Takes::Nothing),
    };
    Opt { names: names.split('|').collect(), takes, negatable, repeats }
}

const MATCH_OPTIONS: &str = "\
addrtype: !src-type= !dst-type= limit-iface-in limit-iface-out
ah: !ahspi= !ahlen= ahres
bpf: bytecode= object-pinned=
cgroup: !path= !cgroup=
cluster: cluster-total-nodes= !cluster-local-node= !cluster-local-nodemask= cluster-hash-seed=
comment: comment=
connbytes: !connbytes= connbytes-dir= connbytes-mode=
connlabel: !label= set
connlimit: !connlimit-upto= !connlimit-above= connlimit-mask= connlimit-saddr connlimit-daddr
connmark: !mark=
conntrack: !ctstate= !ctproto= !ctorigsrc= !ctorigdst= !ctreplsrc= !ctrepldst= !ctstatus= !ctexpire= !ctorigsrcport= !ctorigdstport= !ctreplsrcport= !ctrepldstport= ctdir=
cpu: !cpu=
dccp: !source-port|sport= !destination-port|dport= !dccp-types= !dccp-option=
devgroup: !src-group= !dst-group=
dscp: !dscp= !dscp-class=
dst: !dst-len= dst-opts=
ecn: !ecn-tcp-cwr !ecn-tcp-ece !ecn-ip-ect=
esp: !espspi=
eui64:
frag: !fragid= !fraglen= fragres fragfirst fragmore fraglast
hashlimit: !hashlimit-upto|hashlimit= !hashlimit-above= hashlimit-srcmask= hashlimit-dstmask= hashlimit-burst= hashlimit-htable-size= hashlimit-htable-max= hashlimit-htable-gcinterval= hashlimit-htable-expire= hashlimit-mode= hashlimit-name= hashlimit-rate-match hashlimit-rate-interval=
hbh: !hbh-len= hbh-opts=
helper: !helper=
hl: hl-lt= hl-gt= !hl-eq|hl=
icmp: !icmp-type=
icmp6: !icmpv6-type=
ipcomp: !ipcompspi= compres
iprange: !src-range= !dst-range=
ipv6header: !header= soft
ipvs: !ipvs !vproto= !vaddr= !vport= vdir= !vmethod= !vportctl=
length: !length=
limit: limit= limit-burst=
mac: !mac-source=
mark: !mark=
mh: !mh-type=
multiport: !source-ports|sports= !destination-ports|dports= !ports=
nfacct: nfacct-name=
osf: !genre= ttl= log=
owner: !uid-owner= !gid-owner= !socket-exists suppl-groups !pid-owner= !sid-owner= !cmd-owner=
physdev: !physdev-in= !physdev-out= !physdev-is-in !physdev-is-out !physdev-is-bridged
pkttype: !pkt-type=
policy: dir= pol= strict !reqid=+ !spi=+ !tunnel-src=+ !tunnel-dst=+ !proto=+ !mode=+ next+
quota: !quota=
rateest: !rateest1|rateest= rateest2= rateest-bps1 rateest-pps1 rateest-bps2= rateest-pps2= rateest-bps= rateest-pps= rateest-delta !rateest-lt !rateest-gt !rateest-eq
realm: !realm=
recent: !set !rcheck !update !remove seconds= reap hitcount= rttl name= rsource rdest mask=
rpfilter: loose validmark accept-local invert
rt: !rt-type= !rt-segsleft= !rt-len= rt-0-res rt-0-addrs= rt-0-not-strict
sctp: !source-port|sport= !destination-port|dport= !chunk-types=2
set: !match-set|set=2 return-nomatch !update-counters !packets-eq= packets-lt= packets-gt= !bytes-eq= bytes-lt= bytes-gt= !update-subcounters
socket: transparent nowildcard restore-skmark
srh: !srh-next-hdr= !srh-hdr-len-eq= !srh-hdr-len-gt= !srh-hdr-len-lt= !srh-segs-left-eq= !srh-segs-left-gt= !srh-segs-left-lt= !srh-last-entry-eq= !srh-last-entry-gt= !srh-last-entry-lt= !srh-tag= !srh-psid= !srh-nsid= !srh-lsid=
state: !state=
statistic: mode= !probability= !every= packet=
string: from= to= algo= !string= !hex-string= icase
tcp: !source-port|sport= !destination-port|dport= !syn !tcp-flags=2 !tcp-option=
tcpmss: !mss=
time: datestart= datestop= timestart= timestop= contiguous !weekdays= !monthdays= localtz utc kerneltz
tos: !tos=
ttl: ttl-lt= ttl-gt= !ttl-eq|ttl=
u32: !u32=
udp: !source-port|sport= !destination-port|dport=";

const TARGET_OPTIONS: &str = "\
ACCEPT:
DROP:
QUEUE:
RETURN:
AUDIT: type=
CHECKSUM: checksum-fill
CLASSIFY: set-class=
CLUSTERIP: new hashmode= clustermac= total-nodes= local-node= hash-init=
CONNMARK: set-xmark= set-mark= and-mark= or-mark= xor-mark= save-mark restore-mark left-shift-mark= right-shift-mark= ctmask= nfmask= mask=
CONNSECMARK: save restore
CT: notrack helper= timeout= ctevents= expevents= zone-orig= zone-reply= zone=
DNAT: to-destination= random persistent
DNPT: src-pfx= dst-pfx=
DSCP: set-dscp= set-dscp-class=
ECN: ecn-tcp-remove ecn-tcp-cwr= ecn-tcp-ece= ecn-ip-ect=
HL: hl-set= hl-dec= hl-inc=
HMARK: hmark-tuple= hmark-src-prefix= hmark-dst-prefix= hmark-sport-mask= hmark-dport-mask= hmark-spi-mask= hmark-sport= hmark-dport= hmark-spi= hmark-proto-mask= hmark-rnd= hmark-mod= hmark-offset=
IDLETIMER: timeout= label= alarm
LED: led-trigger-id= led-delay= led-always-blink
LOG: log-level= log-prefix= log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode
MARK: set-xmark= set-mark= and-mark= or-mark= xor-mark=
MASQUERADE: to-ports= random random-fully
NETMAP: to=
NFLOG: nflog-group= nflog-prefix= nflog-range= nflog-size= nflog-threshold=
NFQUEUE: queue-num= queue-balance= queue-bypass queue-cpu-fanout
NOTRACK:
RATEEST: rateest-name= rateest-interval= rateest-ewmalog=
REDIRECT: to-ports= random
REJECT: reject-with=
SECMARK: selctx=
SET: add-set=2 del-set=2 exist timeout= map-set=2 map-mark map-prio map-queue
SNAT: to-source= random random-fully persistent
SNPT: src-pfx= dst-pfx=
SYNPROXY: sack-perm timestamp wscale= mss= ecn
TCPMSS: set-mss= clamp-mss-to-pmtu
TCPOPTSTRIP: strip-options=
TEE: gateway= oif=
TOS: set-tos= and-tos= or-tos= xor-tos=
TPROXY: on-port= on-ip= tproxy-mark=
TRACE:
TTL: ttl-set= ttl-dec= ttl-inc=
ULOG: ulog-nlgroup= ulog-prefix= ulog-cprange= ulog-qthreshold=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read_as_they_are_written() {
        let letters: Vec<_> = CORE.iter().filter(|(_, option)| option.negatable).map(|(letter, _)| *letter).collect();
        assert_eq!(letters, ['s', 'd', 'p', 'i', 'o', 'f']);
        let of = |letter| CORE.iter().find(|(l, _)| *l == letter).map(|(_, option)| option.name());
        assert_eq!([of('g'), of('6'), of('c')], [Some("goto"), Some("ipv6"), Some("set-counters")]);
        assert_eq!((MATCHES.len(), TARGETS.len()), (MATCH_OPTIONS.lines().count(), TARGET_OPTIONS.lines().count()));
        let flags = MATCHES["tcp"].iter().find(|option| option.name() == "tcp-flags").unwrap();
        assert_eq!((flags.takes, flags.negatable, flags.repeats), (Takes::Two, true, false));
        assert_eq!(MATCHES["udp"][1].names, ["destination-port", "dport"]);
    }
}
