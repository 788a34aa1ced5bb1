//! For tests: that time grows with the size of the input and not with its square.

use rustix::time::{ClockId, clock_gettime};

/// Fails when `work` takes much more than ten times as long for an input of ten times the size.
pub(crate) fn assert_linear<I>(name: &str, input: impl Fn(usize) -> I, work: impl Fn(&I)) {
    assert_linear_between(name, [100 << 10, 1 << 20], input, |input| work(input));
}

/// As above, between two sizes of which one is ten times the other, for work that may change its input.
pub(crate) fn assert_linear_between<I>(
    name: &str,
    sizes: [usize; 2],
    input: impl Fn(usize) -> I,
    work: impl Fn(&mut I),
) {
    let [small, large] = sizes.map(|size| {
        let once = || {
            let mut input = input(size);
            processor_time(|| work(&mut input))
        };
        once().min(once())
    });
    // Linear is 10, the square is 100. What takes no time at all has no ratio.
    assert!(large < small * 40 || large < 20_000_000, "{name}: {small} ns, then {large} ns");
}

/// Processor time of this thread: unlike the clock on the wall it does not depend on what else the machine does.
fn processor_time(work: impl FnOnce()) -> u128 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        u128::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap()
    };
    let start = now();
    work();
    now() - start
}
