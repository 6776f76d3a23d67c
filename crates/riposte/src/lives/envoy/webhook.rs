//! A post of JSON to a web server for each letter. Follows no redirection: where the letter goes stands in the configuration.

use super::way::Way;
use super::{Secrets, tls};
use crate::config::alert::{WebhookConfig, header};
use report::alert::Letter;
use ureq::Agent;

/// A web server.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    headers: Vec<(String, String)>,
    agent: Agent,
}

impl Webhook {
    /// As configured.
    ///
    /// # Errors
    /// What is wrong with its files.
    pub fn new(config: &WebhookConfig, secrets: &Secrets) -> Result<Webhook, String> {
        let mut headers = config.headers.clone();
        if let Some(file) = secrets.of("[alert.webhook] headers_file") {
            let text = std::str::from_utf8(file).map_err(|_| "[alert.webhook] headers_file: it is no UTF-8 text")?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                headers.push(header(line).ok_or("[alert.webhook] headers_file: a line of it is no 'Name: value'")?);
            }
        }
        let mut builder = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .max_redirects(0)
            .max_response_header_size(16 << 10)
            .proxy(None)
            .user_agent(concat!("riposte/", env!("CARGO_PKG_VERSION")));
        if config.url.starts_with("https:") {
            builder = builder.tls_config(tls::config("[alert.webhook] ca", secrets.of("[alert.webhook] ca"))?);
        }
        Ok(Webhook { url: config.url.clone(), headers, agent: builder.build().into() })
    }
}

impl Webhook {
    /// The address without its path: whoever knows that of a chat's hook may write there, and this goes to the log.
    fn server(&self) -> &str {
        let end = self.url.match_indices(['/', '?', '#']).map(|(at, _)| at).nth(2);
        end.and_then(|end| self.url.get(..end)).unwrap_or(&self.url)
    }
}

impl Way for Webhook {
    fn deliver(&mut self, letter: &Letter) -> Result<(), String> {
        let body = serde_json::to_string(letter).map_err(|error| error.to_string())?;
        let mut request = self.agent.post(&self.url).content_type("application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        // Any answer but one of 2xx is none: a redirection, too.
        let answer = request.send(body).map_err(|error| format!("{}: {error}", self.server()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("{}: it answered {status}", self.server())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_the_log_has_no_secret_path() {
        for path in ["", "/T0/secret", "?key=secret", "/#secret"] {
            let config = crate::config::Config::parse(&format!("[alert.webhook]\nurl = 'http://chat.example:81{path}'\n"), "x").unwrap();
            let webhook = Webhook::new(config.alert.webhook.as_ref().unwrap(), &Secrets::default()).unwrap();
            assert_eq!(webhook.server(), "http://chat.example:81");
        }
    }
}
