//! What must not compile, and what the compiler then says. Rewrite the `.stderr` files with `TRYBUILD=overwrite`.

#[test]
fn a_score_that_the_topology_cannot_run_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
