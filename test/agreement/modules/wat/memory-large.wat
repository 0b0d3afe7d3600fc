;; SPDX-License-Identifier: Apache-2.0
;; It begins with more memory than Envoy gives, 1 GiB and 64 KiB.
(module
  (memory (export "memory") 16385)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
)
