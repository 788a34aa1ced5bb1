//! LOGIN and AUTHENTICATE (PLAIN of RFC 4616, XOAUTH2), with and without an initial response (RFC 4959).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::command::{Command, Syntax};
use super::session::{Failure, Session};

const MAX_SASL_LINE_BYTES: usize = 12 * 1024;
const FAILED: &str = "[AUTHENTICATIONFAILED] LOGIN failed.";

impl Session {
    pub(super) fn login(&mut self, command: &Command) -> Result<String, Failure> {
        let mut args = command.args();
        let user = args.astring()?;
        args.space()?;
        let password = args.astring()?;
        args.end()?;
        self.require_privacy()?;
        if !self.password_is_right(&user, &password) {
            return Err(Failure::No(FAILED.to_owned()));
        }
        Ok(self.logged_in(command))
    }

    pub(super) async fn authenticate(&mut self, command: &Command) -> Result<String, Failure> {
        let mut args = command.args();
        let mechanism = args.atom()?.to_ascii_uppercase();
        let mut initial = None;
        if !args.is_empty() {
            args.space()?;
            let text = args.take_while(|byte| byte != b' ').to_vec();
            if !self.shared.can("SASL-IR") {
                return Err(Syntax("An initial response needs SASL-IR".to_owned()).into());
            }
            initial = Some(text);
        }
        args.end()?;
        self.require_privacy()?;
        if !self.shared.can(&format!("AUTH={mechanism}")) {
            return Err(Failure::No("[CANNOT] Unknown mechanism".to_owned()));
        }
        let response = match initial {
            Some(response) => decode(&response)?,
            None => self.challenge("").await?,
        };
        if mechanism == "PLAIN" {
            let mut parts = response.split('\0').skip(1);
            let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if !self.password_is_right(user, password) {
                return Err(Failure::No("[AUTHENTICATIONFAILED] AUTHENTICATE failed.".to_owned()));
            }
        } else if !self.token_is_right(&response) {
            let reason = BASE64.encode(r#"{"status":"400","schemes":"Bearer"}"#);
            // The client answers the error with an empty line; only then comes the NO.
            self.challenge(&reason).await?;
            return Err(Failure::No("AUTHENTICATE failed.".to_owned()));
        }
        Ok(self.logged_in(command))
    }

    fn logged_in(&mut self, command: &Command) -> String {
        self.authenticated = true;
        format!("[CAPABILITY {}] {} completed.", self.capabilities(), command.name)
    }

    fn require_privacy(&self) -> Result<(), Failure> {
        if self.must_encrypt() {
            return Err(Failure::No("[PRIVACYREQUIRED] STARTTLS first".to_owned()));
        }
        Ok(())
    }

    fn password_is_right(&self, user: &str, password: &str) -> bool {
        let options = &self.shared.options;
        !self.shared.faults.login_refused() && user == options.user && password == options.password
    }

    fn token_is_right(&self, response: &str) -> bool {
        let options = &self.shared.options;
        let Some(token) = &options.access_token else { return false };
        let expected = format!("user={}\x01auth=Bearer {token}\x01\x01", options.user);
        !self.shared.faults.login_refused() && response == expected
    }

    /// Sends `+` with this text and returns the client's decoded answer.
    async fn challenge(&mut self, text: &str) -> Result<String, Failure> {
        self.connection.put_line(&format!("+ {text}"));
        self.connection.flush().await?;
        let line = self.connection.read_line(MAX_SASL_LINE_BYTES).await?.ok_or(Failure::End)?;
        decode(line.trim_ascii_end())
    }
}

fn decode(response: &[u8]) -> Result<String, Failure> {
    match response {
        b"*" => return Err(Syntax("AUTHENTICATE cancelled".to_owned()).into()),
        // An empty initial response (RFC 4959, section 3).
        b"=" => return Ok(String::new()),
        _ => {}
    }
    let decoded = BASE64.decode(response).map_err(|_| Syntax("Not base64".to_owned()))?;
    Ok(String::from_utf8_lossy(&decoded).into_owned())
}
