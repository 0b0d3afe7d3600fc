;; SPDX-License-Identifier: Apache-2.0
;; Its start section traps.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (start $start)
  (func $start unreachable)
)
