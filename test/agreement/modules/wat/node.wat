;; SPDX-License-Identifier: Apache-2.0
;; It asks for the id of the proxy and tells what it was given.
(module
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (data (i32.const 16) "xds\00node\00id")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (i32.eqz (call $property (i32.const 16) (i32.const 11) (i32.const 8) (i32.const 12)))
      (then (drop (call $log (i32.const 2) (i32.load (i32.const 8)) (i32.load (i32.const 12))))))
    (i32.const 1))
)
