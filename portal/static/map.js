// The page of the map: draws the outlines, and lists beside them the same without any drawing. Every text is put in as
// text, never as HTML. Nothing is drawn below the outlines: no tiles, nothing of another host.
(function () {
  "use strict";

  var STEP = 20; // matters shown at a time
  var SHADES = [0.06, 0.28, 0.46, 0.64]; // none, and thirds of the largest number
  var find = window.syncgovFind;
  if (!find) return; // the page says so
  var app = document.getElementById("sg-map-app");
  var drawing = document.getElementById("sg-map-drawing");
  var legend = document.getElementById("sg-map-legend");
  var filters = document.getElementById("sg-map-filters");
  var status = document.getElementById("sg-map-status");
  var list = document.getElementById("sg-map-list");
  var index = null;
  var map = null;
  var shapes = null;
  var points = null;
  var layer = 0;
  var wanted = [-1, -1]; // code of each filter, -1: all
  var place = -1; // community, -1: all
  var unit = -1; // of its units, -1: none
  var units = [];
  var current = 0;

  var element = find.element;
  var link = find.link;

  function button(text, act, className) {
    var made = element("button", text, "sg-map-pick" + (className ? " " + className : ""));
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  // Numbers ---------------------------------------------------------------------------------------------------------

  function fits(cell) {
    return (wanted[0] < 0 || cell[0] === wanted[0]) && (wanted[1] < 0 || cell[1] === wanted[1]);
  }

  function count(at) {
    return index.layers[layer].cells[at].reduce(function (sum, cell) { return fits(cell) ? sum + cell[2] : sum; }, 0);
  }

  // [number of the row, its cell] of the matters of a community that fit, `count` of them from the `from`-th.
  function chosen(at, from, most) {
    var out = [];
    var start = 0;
    var skipped = 0;
    index.layers[layer].cells[at].forEach(function (cell) {
      if (fits(cell)) {
        for (var i = Math.max(0, from - skipped); i < cell[2] && out.length < most; i++) out.push([start + i, cell]);
        skipped += cell[2];
      }
      start += cell[2];
    });
    return out;
  }

  // Drawing ---------------------------------------------------------------------------------------------------------

  function draw() {
    if (!map) return;
    shapes.clearLayers();
    points.clearLayers();
    var top = place < 0;
    var counts = index.communities.map(function (_, at) { return count(at); });
    var most = Math.max.apply(null, counts.concat(1));
    (top ? index.communities : units).forEach(function (each, at) {
      var outline = top ? each[4] : each[2];
      if (!outline) return;
      var picked = !top && at === unit;
      var shade = top && counts[at] ? SHADES[Math.ceil(3 * counts[at] / most)] : SHADES[0];
      var shape = L.polygon(outline, {
        className: "sg-area" + (picked ? " sg-area--picked" : ""), fillOpacity: picked ? SHADES[2] : shade, weight: picked ? 4 : 1.5
      });
      var label = element("span", top ? each[2] : each[1], "sg-area-name");
      if (top) label.append(element("br"), element("strong", String(counts[at])));
      shape.bindTooltip(label, { permanent: true, direction: "center", className: "sg-area-label", opacity: 1 });
      shape.on("click", function () { go(top ? at : place, top ? -1 : at); });
      shapes.addLayer(shape);
    });
    drawing.hidden = !shapes.getLayers().length;
    if (!drawing.hidden) {
      map.invalidateSize();
      map.fitBounds(shapes.getBounds(), { paddingTopLeft: [60, 8], paddingBottomRight: [8, 8], animate: false });
    }
    legend.textContent = top ? "颜色越深，件数越多；数字就是件数。" : "数字是网格的编号；点一个网格，看由谁负责。";
  }

  function point(row, number) {
    if (map && row.length > 3) points.addLayer(L.circleMarker([row[3], row[4]], { className: "sg-point", radius: 8 })
      .bindTooltip(element("span", number + " " + row[0])));
  }

  // Listing ---------------------------------------------------------------------------------------------------------

  function labels(cell) {
    return index.layers[layer].filters.map(function (filter, number) { return filter[1][cell[number]]; }).join(" · ");
  }

  function item(row, cell, number) {
    var made = element("li");
    made.append(link(row[0], row[2]));
    made.append(element("span", [labels(cell), row[1]].filter(Boolean).join(" · "), "sg-found-note"));
    point(row, number);
    return made;
  }

  async function more(mine, rows, next, from) {
    var found = chosen(place, from, STEP);
    var parts = {};
    found.forEach(function (each) { parts[Math.floor(each[0] / index.per)] = null; });
    await Promise.all(Object.keys(parts).map(function (number) {
      return find.part("g/" + layer + "-" + place + "-" + number).then(function (data) { parts[number] = data; });
    }));
    if (mine !== current) return;
    found.forEach(function (each, at) {
      rows.append(item(parts[Math.floor(each[0] / index.per)][each[0] % index.per], each[1], from + at + 1));
    });
    next.hidden = from + found.length >= count(place);
    if (from && rows.children[from]) rows.children[from].querySelector("a").focus();
  }

  function title(text, address) {
    var made = element("h2", "", "sg-map-title");
    made.tabIndex = -1;
    made.append(address ? link(text, address) : text);
    list.append(made);
    return made;
  }

  function choices(entries, act, extra) {
    var made = element("ul", "", "sg-map-choices" + (extra || ""));
    entries.forEach(function (entry, at) {
      var line = element("li");
      var pick = button(entry[0], function () { act(at); });
      if (extra) pick.setAttribute("aria-pressed", String(at === unit));
      line.append(pick);
      if (entry[1]) line.append(" ", element("span", entry[1], "sg-note"));
      made.append(line);
    });
    return made;
  }

  function overview() {
    var made = title("全部社区");
    list.append(choices(index.communities.map(function (each, at) { return [each[1], count(at) + " 条"]; }),
      function (at) { go(at, -1); }));
    return made;
  }

  function detail(mine) {
    var community = index.communities[place];
    var back = element("p");
    back.append(button("← 全部社区", function () { go(-1, -1); }));
    list.append(back);
    var made = title(community[1], community[3]);
    if (unit >= 0) {
      list.append(element("h3", units[unit][0]));
      var who = element("ul");
      units[unit][3].forEach(function (note) { who.append(element("li", note)); });
      list.append(units[unit][3].length ? who : element("p", "没有写明由谁负责。"));
    }
    if (units.length) {
      list.append(element("h3", "网格"));
      list.append(choices(units.map(function (each) { return [each[1], ""]; }), function (at) { go(place, at); }, " sg-map-units"));
    }
    list.append(element("h3", index.layers[layer].name));
    if (unit >= 0) list.append(element("p", "事情只公开到社区，下面是整个社区的。", "sg-note"));
    var rows = element("ol", "", "sg-found");
    var next = button("再看 " + STEP + " 条", function () { more(mine, rows, next, rows.children.length).catch(failed); }, "sg-button");
    next.hidden = true;
    list.append(rows, next);
    more(mine, rows, next, 0).catch(failed);
    return made;
  }

  function failed(error) {
    status.textContent = error && error.message === "edition" ? "网站刚刚更新，请刷新这一页。" : "地图用的文件没有取到，请检查网络后刷新这一页。";
  }

  // Steps -----------------------------------------------------------------------------------------------------------

  function show(focus) {
    var mine = ++current;
    list.textContent = "";
    draw();
    var made = place < 0 ? overview() : detail(mine);
    var total = place < 0 ? index.communities.reduce(function (sum, _, at) { return sum + count(at); }, 0) : count(place);
    status.textContent = index.layers[layer].name + "：" + (place < 0 ? "" : index.communities[place][1] + " ") + total + " 条。";
    if (focus) made.focus();
  }

  // Shows a community (-1: all) and one of its units (-1: none).
  async function go(at, number, silent) {
    var mine = ++current;
    try {
      var found = at < 0 ? [] : await find.part("g/u-" + at);
      if (mine !== current) return;
      units = found;
    } catch (error) {
      failed(error);
      return;
    }
    place = at;
    unit = number;
    if (!silent) remember();
    show(!silent);
  }

  function remember() {
    try {
      history.replaceState(null, "", location.pathname + location.search + (place < 0 ? "" : "#" + encodeURIComponent(index.communities[place][0])));
    } catch (error) { /* some browsers refuse for files: only the address stays behind */ }
  }

  function asked() {
    var code = "";
    try {
      code = decodeURIComponent(location.hash.slice(1));
    } catch (error) { /* all communities then */ }
    return index.communities.findIndex(function (each) { return each[0] === code; });
  }

  // Filters ---------------------------------------------------------------------------------------------------------

  function select(name, label, entries, value, act) {
    var made = element("label", label + " ");
    var box = element("select");
    box.id = "sg-map-" + name;
    entries.forEach(function (entry) {
      var option = element("option", entry[1]);
      option.value = String(entry[0]);
      option.selected = entry[0] === value;
      box.append(option);
    });
    box.addEventListener("change", function () { act(Number(box.value)); });
    made.append(box);
    filters.append(made);
  }

  // Only codes that occur are offered.
  function used(number) {
    var seen = {};
    index.layers[layer].cells.forEach(function (cells) { cells.forEach(function (cell) { seen[cell[number]] = true; }); });
    return Object.keys(seen).map(Number).sort(function (a, b) { return a - b; });
  }

  function build() {
    filters.textContent = "";
    if (index.layers.length > 1) {
      select("layer", "内容", index.layers.map(function (each, at) { return [at, each.name]; }), layer, function (value) {
        layer = value;
        wanted = [-1, -1];
        build();
        show(false);
        document.getElementById("sg-map-layer").focus();
      });
    }
    index.layers[layer].filters.forEach(function (filter, number) {
      var entries = used(number).map(function (code) { return [code, filter[1][code]]; });
      select("filter-" + number, filter[0], [[-1, "全部"]].concat(entries), wanted[number], function (value) {
        wanted[number] = value;
        show(false);
      });
    });
  }

  function canvas() {
    if (!window.L || !index.communities.some(function (each) { return each[4]; })) return;
    map = L.map("sg-map", {
      attributionControl: false, zoomControl: false, scrollWheelZoom: false, dragging: !L.Browser.mobile,
      zoomSnap: 0.25, fadeAnimation: false, zoomAnimation: false, markerZoomAnimation: false
    });
    L.control.zoom({ zoomInTitle: "放大", zoomOutTitle: "缩小" }).addTo(map);
    map.setView([0, 0], 1);
    shapes = L.featureGroup().addTo(map);
    points = L.featureGroup().addTo(map);
  }

  find.begin().then(function () { return find.part("g/index"); }).then(function (data) {
    index = data;
    app.hidden = false;
    canvas();
    if (!map) drawing.hidden = true;
    build();
    window.addEventListener("hashchange", function () { go(asked(), -1, true); });
    return go(asked(), -1, true);
  }).catch(function (error) {
    app.hidden = false;
    drawing.hidden = true;
    failed(error);
  });
})();
