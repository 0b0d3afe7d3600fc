// SPDX-License-Identifier: Apache-2.0

//! A plugin on the Rust SDK that does what its configuration says, at start what its VM's says.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    if std::env::var("INIT").as_deref() == Ok("panic") {
        panic!("cannot begin");
    }
    proxy_wasm::set_root_context(|_| Box::new(Root { configuration: String::new() }));
}}

struct Root {
    configuration: String,
}

struct Request {
    configuration: String,
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).expect("a configuration in UTF-8")
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        match text(self.get_vm_configuration()).as_str() {
            "refuse" => {
                log::error!("this virtual machine does not suit me");
                false
            }
            "panic" => panic!("lost at start"),
            _ => true,
        }
    }

    fn on_configure(&mut self, _size: usize) -> bool {
        self.configuration = text(self.get_plugin_configuration());
        match self.configuration.as_str() {
            "refuse" => {
                log::error!("these rules do not suit me");
                return false;
            }
            "panic" => panic!("lost while configuring"),
            "metrics" => {
                let id = proxy_wasm::hostcalls::define_metric(MetricType::Counter, "agreement_rust").unwrap();
                proxy_wasm::hostcalls::increment_metric(id, 5).unwrap();
                log::info!("the counter is at {}", proxy_wasm::hostcalls::get_metric(id).unwrap());
            }
            "shared data" => {
                self.set_shared_data("key", Some(b"value"), None).unwrap();
                log::info!("the host keeps {}", text(self.get_shared_data("key").0));
            }
            "call" => {
                let headers = vec![(":method", "GET"), (":path", "/"), (":authority", "rules")];
                if let Err(status) = self.dispatch_http_call("rules", headers, None, vec![], Duration::from_secs(1)) {
                    log::error!("no rules: {:?}", status);
                    return false;
                }
            }
            "who am I" => {
                let name = text(self.get_property(vec!["plugin_name"]));
                let setting = std::env::var("SETTING").unwrap_or_default();
                log::info!("my name is {}, the setting {}", name, setting);
            }
            _ => log::info!("configured"),
        }
        true
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { configuration: self.configuration.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        match self.configuration.as_str() {
            "panic at the first request" => panic!("lost at a request"),
            "deny" => {
                self.send_http_response(403, vec![], None);
                Action::Pause
            }
            _ => Action::Continue,
        }
    }
}
