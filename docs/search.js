// Browsers start no worker for pages that are opened as files: the search's script runs in a hidden frame there.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.isThere = new Promise((resolve) => { this.inside.begin = resolve; });
      this.inside.answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inside.document.write(
        `<script>postMessage = answer</script><script src="${script}" onload="begin()"></script>`);
      this.inside.document.close();
    }

    postMessage(data) {
      this.isThere.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
