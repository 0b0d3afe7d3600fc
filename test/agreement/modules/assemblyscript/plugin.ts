// SPDX-License-Identifier: Apache-2.0

// A plugin on the AssemblyScript runtime (ABI 0.2.0) that does what its configuration says.

export * from "@solo-io/proxy-runtime/proxy";
import {
  Context, FilterHeadersStatusValues, log, LogLevelValues, registerRootContext, RootContext, send_local_response, GrpcStatusValues,
} from "@solo-io/proxy-runtime";

class Root extends RootContext {
  onConfigure(size: u32): bool {
    super.onConfigure(size);
    const configuration = this.getConfiguration();
    if (configuration == "refuse") {
      log(LogLevelValues.error, "these rules do not suit me");
      return false;
    }
    if (configuration == "throw") {
      throw new Error("lost while configuring");
    }
    if (configuration == "trap") {
      unreachable();
    }
    log(LogLevelValues.info, "configured: " + configuration);
    return true;
  }

  createContext(id: u32): Context {
    return new Request(id, this);
  }
}

class Request extends Context {
  onRequestHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    const configuration = this.root_context.getConfiguration();
    if (configuration == "trap at the first request") {
      unreachable();
    }
    if (configuration == "deny") {
      send_local_response(403, "denied", new ArrayBuffer(0), [], GrpcStatusValues.Ok);
      return FilterHeadersStatusValues.StopIteration;
    }
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => new Root(id), "agreement");
