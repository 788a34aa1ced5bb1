use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::{Client, server_with};
use crate::testbed::Tls;
use crate::testbed::net::test_tls;

#[tokio::test]
async fn implicit_tls_covers_the_whole_session() {
    let (acceptor, connector) = test_tls::pair();
    let (_store, server) = server_with(|options| options.tls = Tls::Implicit(acceptor));
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let stream = connector.connect(test_tls::name(), stream).await.unwrap();
    let mut client = Client { stream: BufReader::new(stream) };
    assert!(client.line().await.starts_with("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN "));
    assert!(client.command("LOGIN monitor \"pa\\\"ss\"").await[0].starts_with("t OK"));
    client.command("LOGOUT").await;
    // Without a proper end of TLS, reading on would be an error.
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn starttls_is_needed_before_login_and_forgets_what_came_before() {
    let (acceptor, connector) = test_tls::pair();
    let (_store, server) = server_with(|options| options.tls = Tls::Starttls(acceptor));
    let mut client = Client::connect(&server).await;
    assert!(client.line().await.contains("UNSELECT IDLE LITERAL+ STARTTLS LOGINDISABLED]"));
    assert_eq!(client.command("LOGIN monitor \"pa\\\"ss\"").await, ["t NO [PRIVACYREQUIRED] STARTTLS first"]);
    // The second command is injected in plain text, ahead of the handshake.
    client.send("t STARTTLS\r\nx NOOP\r\n").await;
    assert_eq!(client.line().await, "t OK Begin TLS negotiation now");
    let stream = connector.connect(test_tls::name(), client.stream.into_inner()).await.unwrap();
    let mut client = Client { stream: BufReader::new(stream) };
    let answer = client.command("CAPABILITY").await;
    assert!(answer[0].starts_with("* CAPABILITY IMAP4rev1 AUTH=PLAIN "), "{answer:?}");
    assert!(client.command("STARTTLS").await[0].starts_with("t BAD "));
    assert!(client.command("LOGIN monitor \"pa\\\"ss\"").await[0].starts_with("t OK"));
}
