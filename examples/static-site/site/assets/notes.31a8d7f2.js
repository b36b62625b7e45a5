export const notes = {
  "/": {
    title: "Field notes",
    lines: [
      "What was seen on the walk, a page for each kind.",
      "The wind came from the west, and the river was high after two days of rain.",
    ],
  },
  "/guide/trees": {
    title: "Trees",
    lines: [
      "Alder along the water, with last year's cones still on it.",
      "One old willow, split to the ground and growing from both halves.",
      "Hornbeam in the hedge, which keeps its brown leaves until spring.",
    ],
  },
  "/guide/birds": {
    title: "Birds",
    lines: [
      "A dipper on the third stone below the weir, twice.",
      "Long-tailed tits in the alders, about twelve, never still.",
      "A heron that let us come nearer than it should have.",
    ],
  },
};
