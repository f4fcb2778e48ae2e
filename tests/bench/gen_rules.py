#!/usr/bin/env python3
"""Deterministic rule-set and trace generator for side-by-side firewall benchmarks.

Styles
  acl fw ipc  ClassBench-like 5-tuple filters (own distributions, no seed files):
              acl = host/subnet pairs + exact service ports; fw = wildcards and
              port ranges; ipc = mixture.  Priority = file order (first match).
  policy      per-container firewall: --containers local /32s, each with rules
              (remote CIDR, protocol, local port range, allow), default drop.
              All rules are pairwise disjoint, so it also loads into nft
              concatenated interval sets and into order-free tables.
  groups      label policy (group -> group, ports); writes only OUT.policy.json
              (+ OUT.groups.nft), the input of the compile-speed test.

Outputs (prefix OUT):  .rules (ClassBench)  .trace (ClassBench, last column =
rule the header was drawn from, -1 = noise)  .json (neutral)  .nft (one rule per
line, atomic)  .ipt (iptables-restore)  .ovs (ovs-ofctl add-flows, port ranges
expanded to masks)  .set.nft / .map.nft (policy only: concatenated interval
set / verdict map)  .expect (with --expect: first-match rule per packet, brute
force with numpy)  .stats
"""
import os
import argparse, json, random, sys

ANY = (0, 65535)
SVC = [20, 21, 22, 23, 25, 53, 67, 69, 80, 88, 110, 111, 119, 123, 135, 137, 139,
       143, 161, 162, 179, 389, 443, 445, 514, 636, 993, 995, 1433, 1521, 1723,
       2049, 3128, 3306, 3389, 5060, 5432, 6379, 8080, 8443, 9090, 9200, 27017]
RNG = [(1024, 65535), (0, 1023), (137, 139), (135, 139), (6000, 6063), (8000, 8999),
       (20, 21), (5000, 5010), (1024, 5000), (3000, 3999), (32768, 60999),
       (49152, 65535), (27000, 27050), (2000, 2003), (9000, 9100)]


def ip(v):
    return "%d.%d.%d.%d" % (v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255)


def mask(v, l):
    return v & (0xFFFFFFFF << (32 - l)) & 0xFFFFFFFF if l else 0


def cidr(v, l):
    return "%s/%d" % (ip(v), l)


def range_masks(lo, hi):
    """Minimal prefix cover of [lo,hi] over 16 bits: list of (value, mask)."""
    out = []
    while lo <= hi:
        size = lo & -lo if lo else 65536
        while lo + size - 1 > hi:
            size >>= 1
        out.append((lo, 0xFFFF ^ (size - 1)))
        lo += size
    return out


def gen_classbench_like(style, n, rnd):
    nets = [mask(rnd.getrandbits(32), 16) for _ in range(max(8, n // 400))]
    subs = [mask(rnd.choice(nets) | rnd.getrandbits(16), 24) for _ in range(max(16, n // 20))]
    hosts = [rnd.choice(subs) | rnd.randrange(1, 255) for _ in range(max(32, n // 4))]
    plen = {"acl": ([32, 32, 32, 28, 24, 24, 23, 21, 16, 0], [32, 32, 32, 30, 28, 27, 24, 24, 22, 16]),
            "fw": ([0, 0, 0, 32, 32, 24, 24, 16, 8, 28], [0, 0, 32, 32, 32, 28, 24, 24, 16, 20]),
            "ipc": ([32, 32, 32, 24, 24, 16, 0, 28, 30, 21], [32, 32, 32, 32, 24, 24, 16, 0, 28, 30])}[style]
    proto = {"acl": [6] * 17 + [17] * 5 + [1] * 2 + [None],
             "fw": [6] * 12 + [17] * 8 + [1] * 2 + [47, None, None],
             "ipc": [6] * 12 + [17] * 7 + [1] * 2 + [50, None, None]}[style]

    def addr(pl):
        l = rnd.choice(pl)
        base = rnd.choice(hosts) if l > 24 else (rnd.choice(subs) if l > 16 else rnd.choice(nets))
        if 24 < l < 32:
            base = (base & 0xFFFFFF00) | rnd.randrange(256)
        return mask(base, l), l

    # real filter sets reuse few ports: bounded pools (ClassBench acl1 10k: ~100 dport ranges)
    xp = [rnd.randrange(1, 65535) for _ in range(150)]
    xr = [tuple(sorted((rnd.randrange(65536), rnd.randrange(65536)))) for _ in range(40)]

    def port(kind):
        r = rnd.random()
        any_, exact = {"acl_s": (1.0, 0), "acl_d": (.30, .55), "fw_s": (.55, .25),
                       "fw_d": (.25, .45), "ipc_s": (.75, .15), "ipc_d": (.40, .45)}[kind]
        if r < any_:
            return ANY
        if r < any_ + exact:
            p = rnd.choice(SVC) if rnd.random() < .7 else rnd.choice(xp)
            return (p, p)
        if rnd.random() < .7:
            return rnd.choice(RNG)
        return rnd.choice(xr)

    seen, rules, tries = set(), [], 0
    while len(rules) < n and tries < 60 * n:
        tries += 1
        s, d, pr = addr(plen[0]), addr(plen[1]), rnd.choice(proto)
        sp, dp = (port(style + "_s"), port(style + "_d")) if pr in (6, 17) else (ANY, ANY)
        if s[1] == 0 and d[1] == 0 and dp == ANY:
            continue
        k = (s, d, sp, dp, pr)
        if k in seen:
            continue
        seen.add(k)
        rules.append([s, d, sp, dp, pr, "drop" if rnd.random() < .35 else "allow"])
    # specific first, with noise, as real filter lists are mostly ordered
    rules.sort(key=lambda r: -(r[0][1] + r[1][1] + (0 if r[2] == ANY else 8) +
                              (0 if r[3] == ANY else 8) + (0 if r[4] is None else 4)) + rnd.random() * 12)
    return rules


def gen_policy(n, containers, services, rnd):
    per = max(1, n // containers)
    # site plan: shared remote CIDRs, pairwise disjoint, as real policies reuse them
    pool = sorted({mask(0x0B000000 + rnd.randrange(1 << 24), 24) for _ in range(4096)})
    cuts = sorted(rnd.sample(range(1, 65536), services - 1))         # pairwise disjoint services
    svc = []
    for lo, hi in zip([0] + cuts, [c - 1 for c in cuts] + [65535]):
        q = rnd.random()
        p = rnd.randint(lo, hi)
        svc.append((p, p) if q < .6 else (lo, hi) if q < .8 else tuple(sorted((p, rnd.randint(lo, hi)))))
    plen = {r: rnd.choice((24, 24, 25, 26, 28, 32)) for r in pool}    # fixed per remote CIDR
    out = []
    for c in range(containers):
        local = 0x0A000000 + 256 + c
        rem = rnd.sample(pool, min(len(pool), max(4, per // 3)))
        used = set()
        while len(used) < per:
            k = (rnd.choice(rem), 6 if rnd.random() < .75 else 17, rnd.randrange(services))
            if k in used:
                continue
            used.add(k)
            out.append([(k[0], plen[k[0]]), (local, 32), ANY, svc[k[2]], k[1], "allow"])
    return out


def gen_groups(a, rnd):
    groups = {"g%d" % g: [] for g in range(a.groups)}
    names = list(groups)
    for c in range(a.containers):
        groups[names[min(int(rnd.paretovariate(1.1)) - 1, 10 ** 6) % a.groups if rnd.random() < .5 else c % a.groups]].append(ip(0x0A000000 + 256 + c))
    pol = []
    for i in range(a.n):
        f, t = rnd.choice(names), rnd.choice(names)
        p = rnd.choice(SVC); r = rnd.choice([(p, p)] * 3 + RNG)
        pol.append({"from": f, "to": t, "proto": 6 if rnd.random() < .8 else 17, "ports": [list(r)], "action": "allow"})
    return groups, pol


def point(r, rnd):
    s, d, sp, dp, pr, _ = r
    return (s[0] | (rnd.getrandbits(32) & (0xFFFFFFFF >> s[1] if s[1] < 32 else 0)),
            d[0] | (rnd.getrandbits(32) & (0xFFFFFFFF >> d[1] if d[1] < 32 else 0)),
            rnd.randint(*sp), rnd.randint(*dp), pr if pr is not None else rnd.choice((6, 17, 1)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--style", choices=["acl", "fw", "ipc", "policy", "groups"], required=True)
    ap.add_argument("--n", type=int, required=True, help="rules (groups: policies)")
    ap.add_argument("--containers", type=int, default=100)
    ap.add_argument("--groups", type=int, default=100)
    ap.add_argument("--services", type=int, default=400, help="policy: pairwise disjoint port ranges that rules choose from")
    ap.add_argument("--trace", type=int, default=65536)
    ap.add_argument("--noise", type=float, default=.1, help="share of random headers in the trace")
    ap.add_argument("--zipf", type=float, default=0.0, help="0 = uniform over rules; else exponent")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--expect", action="store_true")
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    rnd = random.Random("%s/%d/%d" % (a.style, a.n, a.seed))
    o = a.out

    if a.style == "groups":
        groups, pol = gen_groups(a, rnd)
        json.dump({"version": 1, "groups": groups, "policies": pol, "default": "drop"}, open(o + ".policy.json", "w"))
        pairs = sum(len(groups[p["from"]]) * len(groups[p["to"]]) for p in pol)
        with open(o + ".groups.nft", "w") as f:
            f.write("table inet g {\n")
            for g, m in groups.items():
                f.write(" set %s { type ipv4_addr; elements = { %s } }\n" % (g, ", ".join(m) or "192.0.2.1"))
            f.write(" chain c { type filter hook forward priority 0; policy drop;\n")
            for p in pol:
                lo, hi = p["ports"][0]
                f.write("  ip saddr @%s ip daddr @%s %s dport %s accept\n" % (
                    p["from"], p["to"], "tcp" if p["proto"] == 6 else "udp", lo if lo == hi else "%d-%d" % (lo, hi)))
            f.write(" }\n}\n")
        st = {"containers": a.containers, "groups": a.groups, "policies": len(pol), "expanded_ip_pairs": pairs}
        json.dump(st, open(o + ".stats", "w")); print(json.dumps(st)); return

    rules = gen_policy(a.n, a.containers, a.services, rnd) if a.style == "policy" else gen_classbench_like(a.style, a.n, rnd)

    os.makedirs(os.path.dirname(o) or ".", exist_ok=True)
    with open(o + ".rules", "w") as f:
        for s, d, sp, dp, pr, _ in rules:
            f.write("@%s\t%s\t%d : %d\t%d : %d\t%s\n" % (cidr(*s), cidr(*d), *sp, *dp, "0x00/0x00" if pr is None else "0x%02X/0xFF" % pr))
    with open(o + ".json", "w") as f:
        f.write('{"version":1,"style":"%s","seed":%d,"match":"%s","default":"drop","rules":[\n' % (
            a.style, a.seed, "disjoint" if a.style == "policy" else "first"))
        f.write(",\n".join(json.dumps({"src": cidr(*s), "dst": cidr(*d), "sport": sp, "dport": dp, "proto": pr, "action": act},
                                      separators=(",", ":")) for s, d, sp, dp, pr, act in rules))
        f.write("]}\n")

    rg = lambda p: str(p[0]) if p[0] == p[1] else "%d-%d" % p
    name = {6: "tcp", 17: "udp"}
    with open(o + ".nft", "w") as f:
        f.write("add table inet b\nflush table inet b\nadd chain inet b c { type filter hook forward priority 0; policy drop; }\n")
        for s, d, sp, dp, pr, act in rules:
            m = []
            if s[1]: m.append("ip saddr " + cidr(*s))
            if d[1]: m.append("ip daddr " + cidr(*d))
            if pr in name:
                if sp != ANY: m.append("%s sport %s" % (name[pr], rg(sp)))
                if dp != ANY: m.append("%s dport %s" % (name[pr], rg(dp)))
                if sp == ANY and dp == ANY: m.append("meta l4proto %d" % pr)
            elif pr is not None: m.append("meta l4proto %d" % pr)
            f.write("add rule inet b c %s %s\n" % (" ".join(m), "accept" if act == "allow" else "drop"))
    with open(o + ".ipt", "w") as f:
        f.write("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:B - [0:0]\n")
        for s, d, sp, dp, pr, act in rules:
            m = []
            if s[1]: m.append("-s " + cidr(*s))
            if d[1]: m.append("-d " + cidr(*d))
            if pr is not None: m.append("-p %d" % pr)
            if pr in name:
                if sp != ANY or dp != ANY: m.append("-m %s" % name[pr])
                if sp != ANY: m.append("--sport %d:%d" % sp)
                if dp != ANY: m.append("--dport %d:%d" % dp)
            f.write("-A B %s -j %s\n" % (" ".join(m), "ACCEPT" if act == "allow" else "DROP"))
        f.write("COMMIT\n")
    ovs = 0
    with open(o + ".ovs", "w") as f:
        for i, (s, d, sp, dp, pr, act) in enumerate(rules):
            b = "priority=%d,%s" % (max(1, 65000 - i) if a.style != "policy" else 100, {6: "tcp", 17: "udp", 1: "icmp"}.get(pr, "ip"))
            if pr not in (6, 17, 1, None): b += ",nw_proto=%d" % pr
            if s[1]: b += ",nw_src=" + cidr(*s)
            if d[1]: b += ",nw_dst=" + cidr(*d)
            S = [""] if sp == ANY else [",tp_src=0x%x/0x%x" % x for x in range_masks(*sp)]
            D = [""] if dp == ANY else [",tp_dst=0x%x/0x%x" % x for x in range_masks(*dp)]
            for x in S:
                for y in D:
                    f.write("%s%s%s,actions=%s\n" % (b, x, y, "normal" if act == "allow" else "drop")); ovs += 1
    if a.style == "policy":
        rga = lambda c: ip(c[0]) if c[1] == 32 else cidr(*c)
        for ext, mp in ((".set.nft", 0), (".map.nft", 1)):
            with open(o + ext, "w") as f:
                f.write("add table inet b\nflush table inet b\n")
                f.write("add %s inet b s { type ipv4_addr . ipv4_addr . inet_proto . inet_service %s; flags interval; }\n" % (
                    ("map", ": verdict") if mp else ("set", "")))
                f.write("add chain inet b c { type filter hook forward priority 0; policy drop; }\n")
                f.write("add rule inet b c ip saddr . ip daddr . meta l4proto . th dport " + ("vmap @s\n" if mp else "@s accept\n"))
                el = ["%s . %s . %d . %s%s" % (rga(s), ip(d[0]), pr, rg(dp), " : accept" if mp else "") for s, d, sp, dp, pr, act in rules]
                for i in range(0, len(el), 5000):
                    f.write("add element inet b s { %s }\n" % ", ".join(el[i:i + 5000]))

    if a.zipf > 0:
        import bisect, itertools
        order = list(range(len(rules))); rnd.shuffle(order)
        cum = list(itertools.accumulate((k + 1) ** -a.zipf for k in range(len(rules))))
        pick = lambda: order[min(bisect.bisect(cum, rnd.random() * cum[-1]), len(rules) - 1)]
    else:
        pick = lambda: rnd.randrange(len(rules))
    pkts = []
    with open(o + ".trace", "w") as f:
        for _ in range(a.trace):
            if rnd.random() < a.noise:
                i, p = -1, (rnd.getrandbits(32), rnd.getrandbits(32), rnd.randrange(65536), rnd.randrange(65536), rnd.choice((6, 17)))
            else:
                i = pick(); p = point(rules[i], rnd)
            pkts.append(p)
            f.write("%d\t%d\t%d\t%d\t%d\t0\t%d\n" % (*p, i))
    if a.expect:
        import numpy as np
        R = np.array([[s[0], s[0] | (0xFFFFFFFF >> s[1] if s[1] < 32 else 0), d[0], d[0] | (0xFFFFFFFF >> d[1] if d[1] < 32 else 0),
                       *sp, *dp, 0 if pr is None else pr, 255 if pr is None else pr] for s, d, sp, dp, pr, _ in rules], dtype=np.uint32)
        with open(o + ".expect", "w") as f:
            for p in pkts:
                m = np.ones(len(rules), bool)
                for k in range(5):
                    m &= (R[:, 2 * k] <= p[k]) & (R[:, 2 * k + 1] >= p[k])
                j = int(m.argmax()); f.write("%d\n" % (j if m[j] else -1))

    # compactness accounting: what each architecture has to store
    tcam = sum((1 if r[2] == ANY else len(range_masks(*r[2]))) * (1 if r[3] == ANY else len(range_masks(*r[3]))) for r in rules)
    st = {"rules": len(rules), "tcam_prefix_expanded": tcam, "tcam_factor": round(tcam / max(1, len(rules)), 3), "ovs_flows": ovs,
          "distinct_src": len({r[0] for r in rules}), "distinct_dst": len({r[1] for r in rules}),
          "distinct_sport": len({r[2] for r in rules}), "distinct_dport": len({r[3] for r in rules}),
          "distinct_tuples": len({(r[0][1], r[1][1], r[2] == ANY, r[3] == ANY, r[4] is None) for r in rules}), "packets": len(pkts)}
    json.dump(st, open(o + ".stats", "w")); print(json.dumps(st))


if __name__ == "__main__":
    main()
