;; SPDX-License-Identifier: Apache-2.0
;; It reads beyond its memory while it is configured.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.load (i32.const 0x7fffffff)))
)
