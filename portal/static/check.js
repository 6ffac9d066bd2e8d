// The page that checks one record: a file that was dropped or chosen, or the one that the address names.
(() => {
  "use strict";

  const { verifyProof, Wrong, Unable, MAX_BYTES, canonical } = window.syncgovProof;
  const place = document.getElementById("sg-check");
  const result = document.getElementById("sg-check-result");
  const ownInput = document.getElementById("sg-check-charter");

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function show(kind, title, ...parts) {
    result.className = `sg-verdict sg-verdict--${kind}`;
    result.textContent = "";
    result.append(element("h2", title), ...parts);
    result.hidden = false;
    result.focus();
  }

  function list(lines) {
    const made = element("ul");
    for (const line of lines) made.append(element("li", line));
    return made;
  }

  const time = (ms) => new Date(ms).toLocaleString("zh-CN", { timeZone: "Asia/Shanghai", hour12: false });
  // signs that turn the direction of what follows are written out: what was signed is shown, and nothing else moves
  const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const written = (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0");
  const plain = (value) => (typeof value === "string" ? value : value === true ? "是" : value === false ? "否" : canonical(value));
  const words = (value) => plain(value).replace(TURNS, written);
  const OWN = { _alive: "这条记录在", _community: "社区", _month: "月份" }; // names that no register gives

  // A row for each value; the register and the key are named once, and with each field of another row.
  function fieldTable(proof, fields) {
    const titles = ["项", "值", "终端", "中心收到"];
    const table = element("table", undefined, "sg-table");
    const head = element("thead");
    const body = element("tbody");
    const line = element("tr");
    for (const title of titles) {
      const cell = element("th", title);
      cell.scope = "col";
      line.append(cell);
    }
    head.append(line);
    table.append(element("caption", `登记册 ${words(proof.table)}，记录 ${words(proof.key)}`), head, body);
    for (const { table: register, key, field, heads } of fields) {
      const other = register === proof.table && key === proof.key ? "" : `${register} ${key} `;
      for (const head of heads) {
        const row = element("tr");
        const cells = [words(other + (OWN[field] || field)), words(head.value), head.dev.slice(0, 8), time(head.received)];
        cells.forEach((text, at) => {
          const cell = element("td", text);
          cell.dataset.label = titles[at];
          row.append(cell);
        });
        body.append(row);
      }
    }
    return table;
  }

  function showProven(found) {
    const { charter, checkpoint, entries, fields, hidden } = found;
    const split = fields.filter((each) => new Set(each.heads.map((head) => canonical(head.value))).size > 1);
    const proven = [
      `章程“${charter.name}”由根密钥签名，检查点（${checkpoint.size} 条）由章程所列日志密钥签名`,
      `${entries.length} 个变更集都在这个检查点之下，各由其终端签名`,
      "每个终端都由章程所列登记终端登记",
      "下面所列的值就是当时签名的值",
    ];
    const open = ["不能证明此后没有更新的修改", "不能证明内容属实", "不能证明持有终端的人诚实"];
    if (!found.ownCharter) {
      open.unshift("没有另外提供章程：只证明文件前后一致，不能证明它出自哪个中心");
    }
    if (hidden.length) open.unshift("已删除或不予公开的项原来写的是什么；是哪一项，由中心声明");
    if (split.length) open.unshift("有的项有几个值：显示哪一个要看登记册的规则，这里不判断");
    const roots = element("p", `根密钥编号（与公示栏上的核对）：${charter.rootIds.map(grouped).join("；")}`, "sg-roots");
    const parts = [element("h3", "证明了"), list(proven), element("h3", "没有证明"), list(open), roots];
    if (fields.length) parts.push(fieldTable(found.proof, fields));
    if (hidden.length) parts.push(element("h3", "不显示的项"), list(hidden.map(hiddenWords)));
    show("valid", "核对通过", ...parts);
  }

  const hiddenWords = ({ table, key, field, erased, reason }) =>
    `${table} ${key} ${field}：${erased ? "已删除" : "不予公开"}（${reason}）`;
  const grouped = (text) => text.match(/.{1,4}/g).join(" ");

  // What reads the bytes is called here, so that a browser that cannot is told too.
  async function check(read) {
    show("busy", "正在核对…");
    try {
      const bytes = await read();
      const own = ownInput.files.length ? new Uint8Array(await ownInput.files[0].arrayBuffer()) : null;
      showProven(await verifyProof(bytes, own));
    } catch (error) {
      if (error instanceof Wrong) {
        show("wrong", "核对不通过", element("p", error.message), element("p", "文件被改过、不完整，或不是本站的。请换一个来源重新下载；仍不通过，请投诉。"));
      } else {
        const why = error instanceof Unable ? error.message : "核对程序出了错";
        show("unable", "没有核对成", element("p", `${why}。这不说明文件是真是假：请换一个较新的浏览器，或用 syncgov verify 核对。`));
      }
    }
  }

  async function checkFile(file) {
    if (file.size > MAX_BYTES) {
      show("wrong", "核对不通过", element("p", "文件太大，不是证明文件"));
      return;
    }
    await check(async () => new Uint8Array(await file.arrayBuffer()));
  }

  async function checkAddress(address) {
    const url = new URL(address, document.baseURI);
    const unable = (why) => show("unable", "没有核对成", element("p", `${why}。请把证据文件存下来，再拖到上面的框里。`));
    if (url.origin !== location.origin || url.protocol === "file:") {
      unable(url.protocol === "file:" ? "从文件夹打开的网页不能自己读取证据文件" : "只核对本站的证据文件");
      return;
    }
    let bytes;
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      bytes = new Uint8Array(await answer.arrayBuffer());
    } catch (error) {
      unable("证据文件没有取到");
      return;
    }
    await check(() => bytes);
  }

  const input = document.getElementById("sg-check-file");
  for (const chosen of [input, ownInput]) {
    const name = document.getElementById(`${chosen.id}-name`);
    chosen.addEventListener("change", () => chosen.files.length && (name.textContent = chosen.files[0].name));
  }
  input.addEventListener("change", () => input.files.length && checkFile(input.files[0]));
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) checkFile(event.dataTransfer.files[0]);
  });
  const named = () => {
    const address = decodeURIComponent(location.hash.slice(1));
    if (address && !document.getElementById(address)) checkAddress(address); // not a heading of this page
  };
  window.addEventListener("hashchange", named);
  place.hidden = false;
  document.getElementById("sg-unready").hidden = true;
  named();
})();
