fn main() {
    let set = sets::Set::own(std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10000), 1);
    let d = set.document(0..set.uses.len());
    let t = sets::wide();
    for _ in 0..3 {
        println!(
            "{:.1} ms",
            1e3 * measure::time(|| drop(std::hint::black_box(nicfw::policy::Compiled::new(&d, &t, None).unwrap())))
        );
    }
}
mod measure;
mod sets;
