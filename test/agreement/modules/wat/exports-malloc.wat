;; SPDX-License-Identifier: Apache-2.0
;; No function to allocate memory with.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
)
