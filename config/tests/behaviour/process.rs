use kilo_config::Environment;

#[test]
fn the_process_has_a_home_and_a_folder() {
    let env = Environment::from_process();
    assert!(env.home.is_absolute() && env.cwd.is_absolute() && env.temp.is_absolute());
    assert!(env.get("PATH").is_some());
}
