;; SPDX-License-Identifier: Apache-2.0
;; Imports that Envoy does not provide, beside one that it does.
(module
  (import "env" "proxy_get_current_time_nanoseconds" (func (param i32) (result i32)))
  (import "env" "proxy_get_time" (func (result i64)))
  (import "wasi_snapshot_preview1" "sock_open" (func (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
)
