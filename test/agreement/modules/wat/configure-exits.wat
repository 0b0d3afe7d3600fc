;; SPDX-License-Identifier: Apache-2.0
;; It calls proc_exit while it is configured, and goes on.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (data (i32.const 16) "still here")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $exit (i32.const 3))
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 10)))
    (i32.const 1))
)
