//! Credentials: what a request offers and what fits.

use crate::options::EdgeOptions;
use crate::request::Query;
use crate::secret::Secret;
use actix_web::http::header::{self, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// What opens the door of a server for good.
pub(super) struct Keys {
    username: Secret,
    password: Option<Secret>,
    token: Option<Secret>,
}

/// The credentials that a request brought, of whatever kinds.
#[derive(Default)]
pub(super) struct Offer<'a> {
    /// `Authorization: Basic`.
    pub basic: Option<(String, String)>,
    /// `Authorization: Bearer`.
    pub bearer: Option<&'a str>,
    /// `?auth_token=`, for clients that cannot set header fields.
    pub token: Option<&'a str>,
    /// Our cookie.
    pub cookie: Option<&'a str>,
}

impl Keys {
    pub fn new(options: &EdgeOptions) -> Self {
        Self {
            username: options.username.as_str().into(),
            password: options.password.clone(),
            token: options.token.clone(),
        }
    }

    /// Tells whether the server has no password.
    pub fn without_password(&self) -> bool {
        self.password.is_none()
    }

    /// Tells whether any of the credentials fits.
    ///
    /// `auth_token` may be the token, or `user:password` in base64. The token is also taken as a password, for clients
    /// that only know Basic.
    pub fn fit(&self, offer: &Offer<'_>) -> bool {
        let basic = |(user, password): &(String, String)| self.fits_basic(user, password);
        let token = |text: &str| self.fits_token(text) || pair(text).as_ref().is_some_and(basic);
        offer.basic.as_ref().is_some_and(basic)
            || offer.bearer.is_some_and(|bearer| self.fits_token(bearer))
            || offer.token.is_some_and(token)
    }

    fn fits_basic(&self, user: &str, password: &str) -> bool {
        let fits = |secret: &Secret| secret.fits(password);
        let known =
            self.password.as_ref().is_some_and(fits) | self.token.as_ref().is_some_and(fits);
        known & self.username.fits(user)
    }

    fn fits_token(&self, token: &str) -> bool {
        self.token.as_ref().is_some_and(|secret| secret.fits(token))
    }
}

impl<'a> Offer<'a> {
    /// Collects the credentials of a request.
    pub fn of(headers: &'a HeaderMap, query: &'a Query, cookie: &str) -> Self {
        let mut offer = Self {
            token: query.get("auth_token"),
            ..Self::default()
        };
        let said = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if let Some((scheme, value)) = said.and_then(|said| said.split_once(' ')) {
            let value = value.trim();
            if scheme.eq_ignore_ascii_case("basic") {
                offer.basic = pair(value);
            } else if scheme.eq_ignore_ascii_case("bearer") {
                offer.bearer = Some(value);
            }
        }
        offer.cookie = find_cookie(headers, cookie);
        offer
    }
}

/// Reads `user:password` in base64 of any alphabet, padded or not.
fn pair(text: &str) -> Option<(String, String)> {
    let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
    let bytes = engines.iter().find_map(|engine| engine.decode(text).ok())?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok());
    let mut cookies = fields.flat_map(|field| field.split(';'));
    cookies.find_map(|cookie| {
        let (key, value) = cookie.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn keys(password: Option<&str>, token: Option<&str>) -> Keys {
        let options = EdgeOptions {
            password: password.map(Secret::from),
            token: token.map(Secret::from),
            ..EdgeOptions::default()
        };
        Keys::new(&options)
    }

    fn fits(keys: &Keys, authorization: &str, query: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(authorization).unwrap(),
        );
        keys.fit(&Offer::of(&headers, &Query::parse(query), "c"))
    }

    #[test]
    fn the_password_fits_with_its_user_only() {
        let keys = keys(Some("s3cret"), None);
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(fits(&keys, &basic("kilo:s3cret"), ""));
        assert!(fits(
            &keys,
            &basic("kilo:s3cret").replace("Basic", "basic"),
            ""
        ));
        for wrong in ["kilo:wrong", "other:s3cret", "kilo:", "s3cret", ":s3cret"] {
            assert!(!fits(&keys, &basic(wrong), ""), "{wrong}");
        }
        assert!(!fits(&keys, "Bearer s3cret", ""));
        assert!(!fits(&keys, "Basic !!!", "auth_token=!!!"));
        assert!(fits(
            &keys,
            "-",
            &format!("auth_token={}", URL_SAFE_NO_PAD.encode("kilo:s3cret"))
        ));
        assert!(!fits(&keys, "-", "auth_token=s3cret"));
    }

    #[test]
    fn the_token_fits_as_bearer_in_the_query_and_as_password() {
        let keys = keys(None, Some("t0ken"));
        assert!(fits(&keys, "Bearer t0ken", ""));
        assert!(fits(&keys, "-", "auth_token=t0ken"));
        assert!(fits(
            &keys,
            &format!("Basic {}", STANDARD.encode("kilo:t0ken")),
            ""
        ));
        assert!(!fits(&keys, "Bearer other", "auth_token=other"));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xkilo=no"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2; kilo=yes=1"));
        assert_eq!(find_cookie(&headers, "kilo"), Some("yes=1"));
        assert_eq!(find_cookie(&headers, "none"), None);
    }
}
