//! Who runs the command: names are looked up in the container's own files (passwd(5), group(5)).

use std::io::Read;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::message::{AS_ROOT, Attempt};
use crate::parse::User;
use crate::root::Root;

/// Larger files are not read to their end.
const LONGEST: u64 = 16 << 20;

/// A user with its groups.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    pub(crate) home: String,
}

impl Identity {
    /// Looks a user up in the container; nobody in particular is root.
    pub(crate) fn find(root: &Root, user: Option<&User>) -> Result<Self> {
        let read = |path: &str| {
            let mut text = Vec::new();
            match root
                .read(path)
                .map_err(std::io::Error::from)
                .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            {
                Err(error) if error.raw_os_error() != Some(Errno::ENOENT as i32) => Err(error)
                    .or_cannot(format_args!("read {path} in the container"), "Mend the image"),
                _ => Ok(String::from_utf8_lossy(&text).into_owned()),
            }
        };
        let root_user = User { user: "0".into(), group: None };
        Self::parse(user.unwrap_or(&root_user), &read("/etc/passwd")?, &read("/etc/group")?)
    }

    fn parse(user: &User, passwd: &str, group: &str) -> Result<Self> {
        let number = user.user.parse::<u32>().ok();
        // name:password:uid:gid:comment:home:shell
        let mut people = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let person = people.find(|fields| match (fields.get(2), number) {
            (Some(uid), Some(number)) => uid.parse() == Ok(number),
            _ => fields.first() == Some(&user.user.as_str()),
        });
        let field = |index| person.as_ref().and_then(|fields| fields.get(index).copied());
        let uid = number.or_else(|| field(2)?.parse().ok()).with_context(|| {
            format!("cannot find the user {:?} in the container. Use a number", user.user)
        })?;
        let gid = match &user.group {
            None => field(3).and_then(|gid| gid.parse().ok()).unwrap_or(0),
            Some(name) => find_group(name, group).ok_or_else(|| {
                anyhow!("cannot find the group {name:?} in the container. Use a number")
            })?,
        };
        // Who names a group gets that one only, as Docker has it.
        let groups = match (&user.group, field(0)) {
            (None, Some(name)) => memberships(name, group),
            _ => Vec::new(),
        };
        let home = field(5).filter(|home| !home.is_empty()).unwrap_or("/").to_string();
        Ok(Self { uid, gid, groups, home })
    }

    /// Becomes this user: for good, unless it is root.
    pub(crate) fn assume(&self) -> Result<()> {
        let groups: Vec<_> =
            [self.gid].iter().chain(&self.groups).map(|gid| Gid::from_raw(*gid)).collect();
        setgroups(&groups).or_cannot("set the groups", AS_ROOT)?;
        setgid(Gid::from_raw(self.gid))
            .or_cannot(format_args!("become group {}", self.gid), AS_ROOT)?;
        setuid(Uid::from_raw(self.uid)).or_cannot(format_args!("become user {}", self.uid), AS_ROOT)
    }

    pub(crate) fn ids(&self) -> (Uid, Gid) {
        (Uid::from_raw(self.uid), Gid::from_raw(self.gid))
    }
}

/// name:password:gid:member,member
fn find_group(name: &str, group: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let mut groups = group.lines().map(|line| line.split(':'));
    groups.find_map(|mut fields| (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?)
}

fn memberships(name: &str, group: &str) -> Vec<u32> {
    let groups = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let member = |fields: &Vec<&str>| fields.get(3)?.split(',').find(|it| *it == name).map(drop);
    groups.filter_map(|fields| member(&fields).and_then(|()| fields.get(2)?.parse().ok())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100:Ann:/home/ann:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nwheel:x:10:ann,bob\naudio:x:63:bob,ann\n";

    fn find(user: &str) -> Result<Identity> {
        Identity::parse(&user.parse()?, PASSWD, GROUP)
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let ann = Identity { uid: 1000, gid: 100, groups: vec![10, 63], home: "/home/ann".into() };
        assert_eq!(find("ann").unwrap(), ann);
        assert_eq!(find("1000").unwrap(), ann);
        let alone = Identity { gid: 10, groups: vec![], ..ann };
        assert_eq!(find("ann:wheel").unwrap(), alone);
        let unknown = Identity { uid: 7, gid: 0, groups: vec![], home: "/".into() };
        assert_eq!(find("7").unwrap(), unknown);
        assert!(find("eve").is_err() && find("ann:eve").is_err());
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(passwd in any::<String>(), group in any::<String>()) {
            let _ = Identity::parse(&"ann".parse().unwrap(), &passwd, &group);
        }
    }
}
