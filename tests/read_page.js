// Runs in a page that is `width` px wide, all details open. Returns what a reader cannot see or
// read, as {problems: [text]}, and the labels of the figures whose marks are visible, as {figures}.
(width) => {
  const MIN_FONT_PX = 11;
  const MIN_CONTRAST = 4.5; // WCAG 2.2, 1.4.3 (AA)
  const DESK_PX = 1000;
  // Texts may touch: a line is higher than its letters.
  const MAX_OVERLAP_PX = 3;
  const problems = new Set(); // a defect that many cells share is told once

  document.querySelectorAll("details").forEach((details) => { details.open = true; });

  const quote = (text) => JSON.stringify(text.trim().slice(0, 40));
  const isSvg = (element) => element.namespaceURI.endsWith("/svg");
  const ancestors = (element) => {
    const found = [];
    for (let e = element; e; e = e.parentElement) found.unshift(e);
    return found; // the page's root first
  };

  // Colours: [red, green, blue, alpha], of which the first three are 0 to 255.
  const parseColour = (text) => {
    const parts = (text.match(/[\d.]+/g) || []).map(Number);
    return text.startsWith("rgb") ? [...parts.slice(0, 3), parts[3] ?? 1] : null;
  };
  const blend = ([r, g, b, alpha], under) =>
    [r, g, b].map((value, i) => alpha * value + (1 - alpha) * under[i]);
  const background = (element) => ancestors(element).reduce(
    (under, e) => blend(parseColour(getComputedStyle(e).backgroundColor), under),
    [255, 255, 255],
  );
  const luminance = (colour) => colour
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const [r, g, b, alpha] = parseColour(isSvg(element) ? style.fill : style.color);
    const opacity = ancestors(element).reduce(
      (product, e) => product * getComputedStyle(e).opacity,
      isSvg(element) ? style.fillOpacity : 1,
    );
    const under = background(element);
    const [low, high] = [blend([r, g, b, alpha * opacity], under), under]
      .map(luminance).sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };

  const fontPx = (element) => {
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (!isSvg(element)) return size;
    const { a, b, c, d } = element.getScreenCTM();
    return size * Math.sqrt(Math.abs(a * d - b * c));
  };

  const checkWidth = () => {
    const root = document.documentElement;
    if (root.clientWidth !== width) problems.add(`laid out for ${root.clientWidth} px`);
    if (root.scrollWidth <= root.clientWidth) return;
    const scrolls = (e) => ancestors(e).some((a) => getComputedStyle(a).overflowX === "auto");
    const wide = [...document.body.querySelectorAll("*")]
      .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !scrolls(e));
    const culprit = wide.at(-1);
    const name = culprit ? `<${culprit.tagName}> ${quote(culprit.textContent)}` : "something";
    problems.add(`${root.scrollWidth} px wide: ${name} sticks out`);
  };

  // A phone scrolls a wide table; a desk has room, but for the tables that are folded away.
  const checkTables = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (width < DESK_PX || box.closest("details") || box.scrollWidth <= box.clientWidth) continue;
      problems.add(`the table ${quote(box.textContent)} is cut`);
    }
  };

  const checkText = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(node);
      const { width: boxWidth, height: boxHeight } = range.getBoundingClientRect();
      if (!node.data.trim() || boxWidth * boxHeight === 0) continue; // an SVG's <title>, say
      const element = node.parentElement;
      const where = `${quote(node.data)} in <${element.tagName.toLowerCase()}>`;
      // A tenth of a pixel is rounding.
      if (fontPx(element) < MIN_FONT_PX - 0.1) {
        problems.add(`text of ${fontPx(element).toFixed(1)} px: ${where}`);
      }
      if (contrast(element) < MIN_CONTRAST) {
        problems.add(`contrast of ${contrast(element).toFixed(2)}: ${where}`);
      }
    }
  };

  const checkOverlaps = (svg, label) => {
    const boxes = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    boxes.forEach(([text, p], i) => boxes.slice(i + 1).forEach(([other, q]) => {
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (Math.min(across, down) > MAX_OVERLAP_PX) {
        problems.add(`${quote(text.textContent)} lies on ${quote(other.textContent)} in ${label}`);
      }
    }));
  };

  // What a figure is about has a colour of its own; axes and grid have these.
  const neutral = ["ink", "muted", "grid", "paper"].map((role) => {
    const probe = document.createElement("i");
    probe.style.color = `var(--${role})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  });
  const isMark = (element, frame) => {
    const style = getComputedStyle(element);
    const paints = [style.fill, style.stroke].filter((p) => p !== "none" && !neutral.includes(p));
    const box = element.getBoundingClientRect();
    return paints.some((paint) => parseColour(paint)) && box.width + box.height > 0
      && box.right > frame.left && box.left < frame.right
      && box.bottom > frame.top && box.top < frame.bottom;
  };
  const findFigures = () => {
    const drawn = [];
    for (const svg of document.querySelectorAll("figure svg")) {
      const frame = svg.getBoundingClientRect();
      const label = svg.getAttribute("aria-label");
      const shapes = [...svg.querySelectorAll("path, use, rect, circle, line, polygon")]
        .filter((shape) => !shape.closest("defs, clipPath"));
      if (frame.width * frame.height === 0) problems.add(`no room for ${label}`);
      else if (!shapes.some((shape) => isMark(shape, frame))) problems.add(`nothing in ${label}`);
      else drawn.push(label);
      checkOverlaps(svg, quote(label));
    }
    for (const image of document.querySelectorAll("img")) {
      if (!image.naturalWidth || !image.width) problems.add(`a picture is not shown: ${quote(image.alt)}`);
    }
    return drawn;
  };

  checkWidth();
  checkTables();
  checkText();
  const figures = findFigures();
  return { problems: [...problems], figures };
}
