;; SPDX-License-Identifier: Apache-2.0
;; Its start section calls the host before there is any context.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (data (i32.const 16) "too early")
  (start $start)
  (func $start (drop (call $log (i32.const 2) (i32.const 16) (i32.const 9))))
)
