// What the tests say to the frontend from inside its page. Everything goes through the objects and commands that the
// frontend's own menus use.
globalThis.peer = (() => {
  const store = (id) => document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s.get(id)
  const graph = () => window.app.rootGraph
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
  const texts = (selector) => [...document.querySelectorAll(selector)].filter(visible).map((element) => element.innerText)

  const node = (id) => {
    const found = graph().getNodeById(id)
    if (!found) throw new Error(`no node ${id} on the canvas`)
    return found
  }

  const box = (one) => {
    one.updateArea?.() // what was moved since the last frame
    return [...one.boundingRect]
  }

  const slot = (slots, wanted, what) => {
    const index = typeof wanted === 'number' ? wanted : (slots ?? []).findIndex((one) => one.name === wanted)
    if (!slots?.[index]) throw new Error(`no ${what} "${wanted}"; there are: ${(slots ?? []).map((one) => one.name).join(', ')}`)
    return index
  }

  const setValue = (target, name, value) => {
    const widget = target.widgets?.find((one) => one.name === name)
    const names = (target.widgets ?? []).map((one) => one.name).join(', ')
    if (!widget) throw new Error(`${target.type} has no widget "${name}"; it has: ${names}`)
    const choices = widget.type === 'combo' ? widget.options.values : null
    if (Array.isArray(choices) && !choices.includes(value)) {
      throw new Error(`${target.type}.${name} offers ${JSON.stringify(choices)}, not ${JSON.stringify(value)}`)
    }
    if (typeof widget.setValue === 'function') {
      widget.setValue(value, { node: target, canvas: window.app.canvas }) // what a click does
    } else {
      widget.value = value // a text box
      widget.callback?.(value)
    }
  }

  return {
    ready: () => graph()?.nodes.length > 0 && !store('workspace').spinner,
    settled: () => !store('workspace').spinner && !graph().nodes.some((one) => one.isLoading),
    drawn: async () => {
      for (const _ of [1, 2]) await new Promise(requestAnimationFrame)
      window.app.canvas.draw(true, true)
    },
    // Not the menu's command: that one glides, and a saved view would hold where it was on the way.
    fit: () => {
      const boxes = [...graph().nodes, ...graph().groups].map(box)
      const [left, top] = [0, 1].map((axis) => Math.min(...boxes.map((one) => one[axis])))
      const [right, bottom] = [0, 1].map((axis) => Math.max(...boxes.map((one) => one[axis] + one[axis + 2])))
      window.app.canvas.ds.fitToBounds([left, top, right - left, bottom - top], { zoom: 0.8 })
    },
    idle: () => store('execution').isIdle,
    // How far the running nodes say they are, as the bars on the canvas show it.
    progress: () => {
      const states = Object.values(store('execution').nodeProgressStates)
      return states.filter((one) => one.state === 'running' && one.value > 0)
    },
    opened: () => window.app.extensionManager.workflow.activeWorkflow?.path,
    command: (id) => window.app.extensionManager.command.execute(id),
    load: (workflow) => window.app.loadGraphData(workflow),
    prompt: async () => (await window.app.graphToPrompt()).output,

    set: (id, values) => {
      for (const [name, value] of Object.entries(values)) setValue(node(id), name, value)
    },

    add: ({ type, values, title, pos, size, color, bgcolor }) => {
      const made = window.LiteGraph.createNode(type)
      if (!made) throw new Error(`the canvas knows no node type "${type}"`)
      graph().add(made)
      if (title) made.title = title
      if (pos) made.pos = pos
      if (color) made.color = color
      if (bgcolor) made.bgcolor = bgcolor
      for (const [name, value] of Object.entries(values)) setValue(made, name, value)
      if (size) made.setSize(made.computeSize().map((least, axis) => Math.max(least, size[axis])))
      return made.id
    },

    connect: (from, output, to, input) => {
      const origin = node(from)
      const target = node(to)
      const outputSlot = slot(origin.outputs, output, `output of ${origin.type}`)
      const inputSlot = slot(target.inputs, input, `input of ${target.type}`)
      const link = origin.connect(outputSlot, target, inputSlot)
      if (!link) throw new Error(`${origin.type}.${output} does not connect to ${target.type}.${input}`)
    },

    group: ({ title, bounding, color }) => {
      const made = new window.LiteGraph.LGraphGroup(title)
      made.pos = bounding.slice(0, 2)
      made.size = bounding.slice(2)
      if (color) made.color = color
      graph().add(made)
    },

    move: (id, x, y) => {
      // Places are of whole nodes, title bar included; a node's own position is below its title bar.
      node(id).pos = [x, y + window.LiteGraph.NODE_TITLE_HEIGHT]
    },

    nodes: () => graph().nodes.map((one) => one.id),

    remove: (id) => graph().remove(node(id)),

    // What the search box offers, by title.
    results: () => texts('[role=option]').map((text) => text.split('\n')[0]),

    boxes: () => graph().nodes.map((one) => ({ id: one.id, type: one.type, box: box(one) })),

    drop: ({ name, type, base64 }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([bytes], name, { type }))
      const place = { bubbles: true, cancelable: true, clientX: 800, clientY: 500 }
      window.app.canvasEl.dispatchEvent(new DragEvent('drop', { dataTransfer, ...place }))
    },

    errors: () => {
      const execution = store('executionError')
      const missingNodes = store('missingNodesError').missingNodesError?.nodeTypes ?? []
      const missingModels = store('missingModel').missingModelCandidates ?? []
      const missingMedia = store('missingMedia').missingMediaCandidates ?? []
      const said = (kind, one) => `${kind}: ${typeof one === 'string' ? one : JSON.stringify(one)}`
      return [
        ...texts('[role=dialog], [role=alertdialog]').map((text) => said('dialog', text)),
        ...texts('.p-toast-message-error, .p-toast-message-warn').map((text) => said('message', text)),
        ...missingNodes.map((one) => said('missing node', one)),
        ...missingModels.map((one) => said('missing model', one)),
        ...missingMedia.map((one) => said('missing media', one)),
        ...Object.entries(execution.lastNodeErrors ?? {}).map((one) => said('node error', one)),
        ...(execution.lastExecutionError ? [said('execution error', execution.lastExecutionError)] : []),
        ...(execution.lastPromptError ? [said('prompt error', execution.lastPromptError)] : [])
      ]
    }
  }
})()
