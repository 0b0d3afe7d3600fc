;; SPDX-License-Identifier: Apache-2.0
;; A library whose main has no parameters, where Envoy has two.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "_initialize"))
  (func (export "main"))
)
