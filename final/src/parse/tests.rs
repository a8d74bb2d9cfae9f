use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn nothing_makes_a_parser_panic(text in any::<String>(), raw in any::<Vec<u8>>()) {
        let _ = (text.parse::<Name>(), hostname(&text), bytes(&text), memory(&text));
        let _ = (text.parse::<Cpus>(), text.parse::<Processes>(), text.parse::<Host>());
        let _ = (text.parse::<User>(), text.parse::<Security>(), variables(&raw));
        let raw = OsStr::from_bytes(&raw);
        let _ = (volume(raw), inside(raw), tmpfs(raw), variable(raw));
    }

    #[test]
    fn a_name_is_one_harmless_part_of_a_path(text in "[a-zA-Z0-9_.~/ \\-\\n]{0,80}") {
        if let Ok(name) = text.parse::<Name>() {
            let parts: Vec<_> = Path::new(name.as_str()).components().collect();
            prop_assert!(matches!(parts[..], [std::path::Component::Normal(_)]));
            prop_assert!(!name.as_str().starts_with(['-', '.']));
        }
    }

    #[test]
    fn bytes_say_what_they_mean(number in 1..1_000_000_u64, unit in 0..4_usize) {
        let text = format!("{number}{}", ["", "k", "m", "G"][unit]);
        prop_assert_eq!(bytes(&text).unwrap(), number << (10 * unit));
    }

    #[test]
    fn cpus_are_a_part_of_100_milliseconds(hundredths in 1..819_200_u64) {
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        prop_assert_eq!(text.parse::<Cpus>().unwrap(), Cpus(hundredths * 1000));
    }

    #[test]
    fn volumes_keep_their_paths(source in "/[^:\\x00]{0,20}", target in "/[a-z][^:/\\x00]{0,20}", ro: bool) {
        let text = format!("{source}:{target}{}", if ro { ":ro" } else { "" });
        let volume = volume(OsStr::new(&text)).unwrap();
        prop_assert_eq!(volume.source, Path::new(&source));
        prop_assert_eq!(volume.target, Path::new(&target));
        prop_assert_eq!(volume.read_only, ro);
    }

    #[test]
    fn variables_come_back_line_by_line(
        pairs in prop::collection::vec(("[A-Z_][A-Z0-9_]{0,10}", "[^\\n\\r\\x00]{0,30}"), 0..10)
    ) {
        let file: String = pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let found = variables(file.as_bytes()).unwrap();
        prop_assert_eq!(found.len(), pairs.len());
        for (variable, (name, value)) in found.iter().zip(&pairs) {
            prop_assert_eq!(variable.name.to_str().unwrap(), name);
            prop_assert_eq!(variable.value.as_ref().unwrap().to_str().unwrap(), value);
        }
    }
}

#[test]
fn names() {
    for good in ["a", "web-1", "Web_2.old", "0"] {
        assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
    }
    let long = "x".repeat(65);
    for bad in ["", "-rf", "../../x", ".", "..", "a/b", "a b", "a\nb", "é", &long] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}

#[test]
fn amounts_of_memory() {
    assert_eq!(bytes("1.5g").unwrap(), 3 << 29);
    assert_eq!(memory("64M").unwrap(), 64 << 20);
    for bad in
        ["", "0", "-1", "m", "1x", "1..5g", "1.5.5g", "9999999999g", "18446744073709551616", "5m"]
    {
        assert!(memory(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn numbers_of_processors_and_processes() {
    assert_eq!("0.5".parse::<Cpus>().unwrap(), Cpus(50_000));
    for bad in ["", "0", "-1", "nan", "inf", "1e9", "x"] {
        assert!(bad.parse::<Cpus>().is_err(), "{bad:?}");
    }
    assert_eq!("20".parse::<Processes>().unwrap(), Processes(Some(20)));
    assert_eq!("-1".parse::<Processes>().unwrap(), Processes(None));
    for bad in ["", "-2", "4294967296", "2.5", "many"] {
        assert!(bad.parse::<Processes>().is_err(), "{bad:?}");
    }
}

#[test]
fn volumes() {
    let parse = |text| volume(OsStr::new(text));
    assert!(parse("/a:/b:ro").unwrap().read_only);
    for bad in ["", "/a", ":/b", "/a:b", "/a:/", "/a:/b:rx", "/a:/b:ro:ro", "name:/b", "/a:/.."] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn temporary_filesystems() {
    let parse = |text| tmpfs(OsStr::new(text));
    let found = parse("/run:size=1m,mode=755,exec,ro").unwrap();
    assert_eq!(
        (found.size, found.mode, found.exec, found.read_only),
        (Some(1 << 20), 0o755, true, true)
    );
    for bad in ["run", "/", "/run:size=x", "/run:mode=9", "/run:mode=77777", "/run:what"] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn hosts_users_and_variables() {
    assert_eq!("db:10.0.0.1".parse::<Host>().unwrap().name, "db");
    assert!("db:::1".parse::<Host>().unwrap().address.is_ipv6());
    assert!("db".parse::<Host>().is_err() && "d b:1.2.3.4".parse::<Host>().is_err());
    assert_eq!("1:2".parse::<User>().unwrap().group.as_deref(), Some("2"));
    assert!(":".parse::<User>().is_err() && "a:".parse::<User>().is_err());
    let file = b"# a comment\n\nA=1\r\n  B=x y\nC\n";
    let names: Vec<_> = variables(file).unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert!(variables(b"A B=1").is_err() && variables(b"=1").is_err());
}
