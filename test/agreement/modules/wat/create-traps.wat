;; SPDX-License-Identifier: Apache-2.0
;; It divides by zero when its context is created.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_context_create") (param i32 i32)
    (drop (i32.div_u (i32.const 1) (i32.sub (local.get 1) (local.get 1)))))
)
