use super::super::peer::wire;
use super::*;

async fn signed_in(
    capabilities: &str,
    credential: &Credential,
    script: &[(&str, &str)],
) -> Result<(), String> {
    let listed = format!("* CAPABILITY IMAP4rev1 {capabilities}\r\nTAG OK done\r\n");
    let mut whole = vec![("CAPABILITY", listed.as_str())];
    whole.extend_from_slice(script);
    let mut wire = wire(&whole);
    let capabilities = Capabilities::ask(&mut wire).await.unwrap();
    sign_in(&mut wire, &capabilities, "me@x", credential).await.map_err(|error| error.to_string())
}

fn password(text: &str) -> Credential {
    Credential::Password(SecretString::from(text))
}

fn token() -> Credential {
    Credential::Token(SecretString::from("tok"))
}

#[tokio::test]
async fn plain_goes_with_the_command_when_the_server_allows_it() {
    let script = [("AUTHENTICATE PLAIN AG1lQHgAc2VjcmV0", "TAG OK hello\r\n")];
    assert_eq!(signed_in("AUTH=PLAIN SASL-IR", &password("secret"), &script).await, Ok(()));
    let script = [("AUTHENTICATE PLAIN", "+ \r\n"), ("AG1lQHgAc2VjcmV0", "TAG OK hello\r\n")];
    assert_eq!(signed_in("AUTH=PLAIN", &password("secret"), &script).await, Ok(()));
}

#[tokio::test]
async fn login_is_quoted_and_used_only_where_nothing_better_is() {
    let script = [("LOGIN \"me@x\" \"a\\\"b\\\\c\"", "TAG OK hello\r\n")];
    assert_eq!(signed_in("", &password("a\"b\\c"), &script).await, Ok(()));
    let error = signed_in("LOGINDISABLED", &password("secret"), &[]).await.unwrap_err();
    assert!(error.contains("LOGINDISABLED"), "{error}");
    let error = signed_in("", &password("a\r\nb"), &[]).await.unwrap_err();
    assert!(error.contains("line break"), "{error}");
}

#[tokio::test]
async fn a_refused_password_is_told_with_the_user_and_without_the_password() {
    let script = [("AUTHENTICATE", "TAG NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")];
    let error = signed_in("AUTH=PLAIN SASL-IR", &password("hunter2"), &script).await.unwrap_err();
    assert!(
        error.starts_with("the server refuses user and password of me@x ([AUTHENTICATIONFAILED] Auth"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_told_with_the_status_of_the_challenge() {
    // {"status":"400","schemes":"Bearer"}
    let challenge = "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\r\n";
    let sent = "AUTHENTICATE XOAUTH2 dXNlcj1tZUB4AWF1dGg9QmVhcmVyIHRvawEB";
    let script = [(sent, challenge), ("", "TAG NO AUTHENTICATE failed.\r\n")];
    let error = signed_in("AUTH=XOAUTH2 SASL-IR", &token(), &script).await.unwrap_err();
    assert!(
        error.contains("(AUTHENTICATE failed. (status 400))") && error.contains("IMAP.AccessAsApp"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_ever_is_left() {
    let script = [("AUTHENTICATE", "+ \r\n"), ("", "+ \r\n"), ("", "+ \r\n"), ("", "+ \r\n"), ("", "")];
    let error = signed_in("AUTH=PLAIN SASL-IR", &password("x"), &script).await.unwrap_err();
    assert!(error.contains("one challenge after another"), "{error}");
}

#[tokio::test]
async fn throttling_and_a_missing_full_access_are_not_taken_for_a_wrong_token() {
    for (answer, told) in [
        ("TAG NO Request is throttled. Suggested Backoff Time: 9000 milliseconds\r\n", "asks to wait 9 s"),
        ("TAG BAD User is authenticated but not connected.\r\n", "FullAccess"),
    ] {
        let error = signed_in("SASL-IR", &token(), &[("AUTHENTICATE", answer)]).await.unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_that_passes_is_no_refused_login() {
    for (answer, refused) in [
        ("TAG NO [AUTHENTICATIONFAILED] Authentication failed.\r\n", true),
        ("TAG NO LOGIN failed.\r\n", true),
        ("TAG NO [ALERT] Your password has expired\r\n", true),
        ("TAG NO [UNAVAILABLE] Temporary authentication failure.\r\n", false),
        ("TAG NO [unavailable] later\r\n", false),
        ("TAG NO [LIMIT] Too many connections\r\n", false),
        ("TAG NO Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n", false),
        ("TAG BAD User is authenticated but not connected.\r\n", true),
    ] {
        let mut wire = wire(&[("AUTHENTICATE", answer)]);
        let capabilities = Capabilities::ask(&mut super::super::peer::wire(&[(
            "CAPABILITY",
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nTAG OK\r\n",
        )]))
        .await
        .unwrap();
        let error = sign_in(&mut wire, &capabilities, "me@x", &password("s")).await.unwrap_err();
        assert_eq!(error.is_refused_login(), refused, "{answer:?}: {error}");
    }
}
