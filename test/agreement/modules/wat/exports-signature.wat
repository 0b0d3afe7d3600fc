;; SPDX-License-Identifier: Apache-2.0
;; A callback with another signature than Envoy's.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32) (result i32) (i32.const 1))
)
