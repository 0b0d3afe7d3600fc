;; SPDX-License-Identifier: Apache-2.0
;; An ABI version that is not there yet.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_3_0"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
)
