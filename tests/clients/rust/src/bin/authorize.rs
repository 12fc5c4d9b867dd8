//! `authorize ADDRESS SECRET`: permits every topic to whoever knows the secret, until it is killed.

use nsq_tests_rust::AuthorizationServer;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let _server = AuthorizationServer::start(&arguments[1], &arguments[2], ".*");
    loop {
        std::thread::park();
    }
}
