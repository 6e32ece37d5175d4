//! What a process does of the work that the processes of one database share.
//!
//! A role says which tasks a process starts, and nothing else: every process reads and writes the same rows. Work that only
//! one may do at a time is held by a lease, so any number of processes may have the same role.

use std::{fmt, str::FromStr};

use qd_core::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers requests and streams.
    Api,
    /// Carries jobs out, gives events their positions, passes them on, removes what was kept long enough.
    Worker,
    /// Follows runs.
    Observer,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Api, Self::Worker, Self::Observer];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Observer => "observer",
        }
    }
}

/// A set of roles, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    pub const ALL: Self = Self(0b111);

    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromStr for Roles {
    type Err = Error;

    /// `api,worker`
    fn from_str(words: &str) -> Result<Self> {
        let mut roles = 0;
        for word in words.split(',').map(str::trim) {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| {
                let all = Roles::ALL;
                Error::malformed(
                    "bad_roles",
                    format!("{word:?} is no role: choose of {all}, with commas between"),
                )
            })?;
            roles |= 1 << role as u8;
        }
        Ok(Self(roles))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Role::as_str).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_a_list_of_known_words() {
        let roles: Roles = "observer, api".parse().unwrap();
        assert_eq!(roles.to_string(), "api,observer");
        assert!(roles.has(Role::Api) && roles.has(Role::Observer) && !roles.has(Role::Worker));
        assert_eq!("api,worker,observer".parse::<Roles>().unwrap(), Roles::ALL);
        for wrong in ["", "api,", "worker,scheduler"] {
            let error = wrong.parse::<Roles>().unwrap_err();
            assert_eq!(error.code, "bad_roles");
            assert!(
                error.detail.ends_with("choose of api,worker,observer, with commas between"),
                "{}",
                error.detail
            );
        }
    }
}
